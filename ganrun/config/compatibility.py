"""Do the parts of a configuration fit each other and the data?

What a component requires must be there, what it forbids must not (see :mod:`ganrun.config.traits`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ganrun.config.traits import DATA, Node, at, discriminators, is_alone, nodes, provided_by
from ganrun.config.words import listing
from ganrun.core.errors import Problem
from ganrun.core.facts import Facts

REQUIRED = {
    "energy": (
        "{node} needs a discriminator whose score is an energy, as autoencoders have",
        "Use model=ebgan or model=began.",
    ),
    "conditional": (
        "{node} needs a model that is given labels or texts",
        "Use model.conditional=true, technique=[conditional], or model=stackgan for texts.",
    ),
    "styles": ("{node} needs a generator with styles", "Use model=stylegan2."),
    "class_logits": (
        "{node} needs a discriminator with a classifier",
        "Use model=acgan, or model.conditional=true with model.discriminator.conditioning=classifier.",
    ),
}
"""Trait that is not there -> cause and remedy."""

FORBIDDEN = {
    "batch_norm": (
        "batch norm mixes samples, but {node} takes gradients of single samples",
        "Use {path}=none, layer or instance (auto chooses none).",
    ),
    "coupled_samples": (
        "a minibatch layer mixes samples, but {node} takes gradients of single samples",
        "Use {path}=none.",
    ),
    "patch_scores": (
        "the discriminator scores patches, but {node} needs one score per sample",
        "Choose another loss, or a model with one score per sample.",
    ),
    "pairs": (
        "the discriminator judges pairs of a sample and its latent, but {node} is for samples alone",
        "Choose another loss or technique, or a model whose discriminator sees samples.",
    ),
    "aligned_pairs": (
        "{node} moves pixels, but the discriminator compares images with their sources pixel by pixel",
        "Leave it out, or keep only what leaves pixels where they are (noise, colours, cutout).",
    ),
    "residuals": (
        "fakes are made upon the real images' own coarse parts, but {node} compares each with all reals",
        "Choose another loss, such as wgan_gp or gan_qp.",
    ),
    "wrong_pairs": (
        "{node} compares samples, and a real sample with a wrong condition is the same sample",
        "Choose another loss, or a model and a loss without wrong pairs.",
    ),
    "spectral_norm": ("{node} and spectral normalisation both bound the critic's slope", "Use {path}=false."),
    "weight_clipping": ("{node} and weight clipping both bound the critic's slope", "Use {path}=null."),
    "energy": ("{node} reads the sign of scores, and an energy has only one", "Choose another model or technique."),
    "no_biases": (
        "without biases D(c x) = c D(x), so that under {node} fakes stay faint",
        "Use {path}=true (auto chooses it).",
    ),
    "pairwise": (
        "{node} needs a loss that judges samples one by one, and this one compares pairs",
        "Choose another loss, such as nonsaturating or hinge.",
    ),
}
"""Trait that must not be there -> cause and remedy."""

TARGETS = ("real_target", "fake_target", "flip_probability")
"""Arguments of logistic losses that label smoothing and flipping set."""


def check(config: dict[str, Any]) -> list[Problem]:
    """Everything that can be known before the data are read."""
    dataset = next(nodes(config.get("dataset"), "dataset"), None)
    possible = None if dataset is None else dataset.target.trait("provides")
    return [
        *(_without_data(config, frozenset(possible)) if possible is not None else ()),
        *(_sets_of_images(config, frozenset(possible)) if possible is not None else ()),
        *_missing(config),
        *_forbidden(config),
        *_energy(config),
        *_two_lipschitz_controls(config),
        *_labels_of_a_loss_without(config),
        *_two_terms_of_one_name(config),
        *_joint_update(config),
        *_one_pass(config),
        *_averages_of_a_shared_encoder(config),
        *_normal_latents(config),
        *_uneven_batch(config),
        *_one_image(config),
        *_standing_statistics(config),
        *_unknown_best(config),
    ]


def check_facts(config: dict[str, Any], facts: Facts) -> list[Problem]:
    """Everything that hangs on what the data turned out to be."""
    return [*_without_data(config, facts.provides), *_not_square(config, facts)]


def resolve_auto(config: dict[str, Any]) -> list[str]:
    """Replace ``auto`` in discriminators, by what the loss does not forbid.

    Returns:
        Lines for the log.
    """
    lines = []
    forbidding, biased = _forbidding(config, "batch_norm"), _forbidding(config, "no_biases")
    for path, node, _ in discriminators(config):
        if node.get("bias") == "auto":
            node["bias"] = bool(biased)
            if biased:
                lines.append(f"{path}.bias: auto -> true ({biased[0]} needs a D that is not homogeneous)")
        if node.get("norm") == "auto":
            if forbidding:
                node["norm"], reason = "none", f"{forbidding[0]} takes gradients of single samples"
            elif node.get("spectral") is True:
                node["norm"], reason = "none", "a gain of batch norm would undo spectral normalisation"
            else:
                node["norm"], reason = "batch", "the usual choice"
            lines.append(f"{path}.norm: auto -> {node['norm']} ({reason})")
    return lines


def warnings(config: dict[str, Any]) -> list[str]:
    """Combinations that train but are seldom meant."""
    provided = provided_by(config)
    penalties = _of_single_samples(config)
    lines = []
    if "unbounded" in provided and not (penalties or {"weight_clipping", "spectral_norm"} & provided.keys()):
        lines.append(
            "nothing bounds the critic's slope, and this loss has no minimum without: "
            "add technique=[gradient_penalty], [spectral_norm] or [weight_clipping]"
        )
    if "pairwise" in provided and at(config, "model", "pool_size"):
        lines.append("this loss compares reals with fakes, and those of the pool are older: try model.pool_size=0")
    betas = at(config, "optimizer", "discriminator", "betas")
    if "weight_clipping" in provided and isinstance(betas, list) and betas[0]:
        lines.append("weight clipping with momentum is known to be unstable: optimizer=rmsprop, or betas=[0.0,0.9]")
    accumulate = at(config, "trainer", "accumulate")
    if isinstance(accumulate, int) and accumulate > 1:
        for trait in ("batch_norm", "coupled_samples", "pairwise"):
            if trait in provided:
                lines.append(f"trainer.accumulate={accumulate}: {provided[trait]} sees one micro-batch at a time")
    if "spectral_norm" in provided and penalties:
        lines.append(f"spectral normalisation and {penalties[0]} both act on the critic's slope; one is usually enough")
    return lines


def _choosing(config: dict[str, Any]) -> Iterator[Node]:
    """Components that require and forbid what networks and losses provide."""
    for section in ("loss", "augment"):
        yield from nodes(config.get(section), section)
    yield from nodes(at(config, "model", "objectives"), "model.objectives")


def _missing(config: dict[str, Any]) -> Iterator[Problem]:
    """What a component of the objective requires and nobody provides; told of the first that does."""
    there = {*DATA, *provided_by(config)}
    for node in _choosing(config):
        for trait in sorted(set(node.traits("requires")) - there):
            there.add(trait)
            cause, remedy = REQUIRED.get(trait, ("{node} needs {trait}", ""))
            yield Problem(node.path, cause.format(node=node, trait=trait), remedy)


def _forbidden(config: dict[str, Any]) -> Iterator[Problem]:
    """What a component of the objective forbids and somebody provides."""
    provided = provided_by(config)
    for trait, path in provided.items():
        for node in _forbidding(config, trait)[:1]:
            cause, remedy = FORBIDDEN.get(trait, ("{node} does not go with {trait}", ""))
            yield Problem(path, cause.format(node=node, trait=trait), remedy.format(path=path))


def _of_single_samples(config: dict[str, Any]) -> list[Node]:
    """Components that act on the critic's slope, by its gradients at single samples."""
    return [node for node in _choosing(config) if "batch_norm" in node.traits("forbids")]


def _forbidding(config: dict[str, Any], trait: str) -> list[Node]:
    """Components that forbid a trait; a batch of one sample has nothing to mix."""
    alone = trait in ("batch_norm", "coupled_samples") and is_alone(config)
    return [] if alone else [node for node in _choosing(config) if trait in node.traits("forbids")]


def _energy(config: dict[str, Any]) -> Iterator[Problem]:
    """A discriminator whose score is an energy, under a loss that is not made for one."""
    if not any("energy" in node.traits("requires") for node in nodes(config.get("loss"), "loss")):
        for node in discriminators(config):
            if "energy" in node.traits("provides"):
                yield Problem(
                    node.path,
                    f"{node.target.path} scores by an energy, and this loss needs a score of any sign",
                    "Use loss=ebgan or loss=began, or another discriminator.",
                )


def _two_lipschitz_controls(config: dict[str, Any]) -> Iterator[Problem]:
    """Weight clipping beside a penalty, a normaliser or spectral norm."""
    if at(config, "player", "discriminator", "weight_clip") is None:
        return
    others = [f"{node}" for node in _of_single_samples(config)]
    others += [f"{node.path}.spectral" for node in discriminators(config) if node.values.get("spectral") is True]
    if others:
        yield Problem(
            "player.discriminator.weight_clip",
            f"weight clipping and {others[0]} both bound the critic's slope",
            "Choose one: player.discriminator.weight_clip=null keeps the other.",
        )


def _labels_of_a_loss_without(config: dict[str, Any]) -> Iterator[Problem]:
    """Label smoothing and flipping of losses that have no targets."""
    node = next(nodes(at(config, "loss", "adversarial"), "loss.adversarial"), None)
    known = None if node is None else node.target.parameters
    if node is not None and known is not None and any(name in node.values and name not in known for name in TARGETS):
        yield Problem(
            node.path,
            "this loss has no targets that could be smoothed or flipped",
            "Those are for logistic losses, nonsaturating and minimax; lsgan has its targets a, b and c.",
        )


def _two_terms_of_one_name(config: dict[str, Any]) -> Iterator[Problem]:
    """A technique whose term was laid over another term that the loss, or another technique, gave the same name."""
    for side in ("discriminator_terms", "generator_terms"):
        terms = at(config, "loss", side)
        for name, values in terms.items() if isinstance(terms, dict) else ():
            node = next(nodes(values, f"loss.{side}.{name}"), None)
            known = None if node is None else node.target.parameters
            if node is not None and known is not None:
                foreign = [key for key in node.values if key not in known and not key.startswith("_")]
                if foreign:
                    cause = (
                        f"there is a term of this name already, whose {foreign[0]} is none of {node.target.node.name}'s"
                    )
                    yield Problem(node.path, cause, "Leave out the technique that brings the second one.")


def _joint_update(config: dict[str, Any]) -> Iterator[Problem]:
    """Another order of moves, put over a model that has more than a generator and a discriminator."""
    node = next(nodes(config.get("model"), "model"), None)
    if node is None or "joint_update" not in node.traits("provides") or node.target.parameters is None:
        return
    foreign = [name for name in node.values if name not in node.target.parameters and not name.startswith("_")]
    if foreign:
        yield Problem(
            "model",
            f"{node.target.node.name} is for one generator and one discriminator, and this model has {foreign[0]}",
            "Leave the technique out, or choose another model.",
        )


def _one_pass(config: dict[str, Any]) -> Iterator[Problem]:
    """The merged update sees one batch of fakes once, through one discriminator."""
    node = next(nodes(config.get("model"), "model"), None)
    if node is None or "one_pass" not in node.traits("provides"):
        return
    if at(config, "loss", "critic_steps") != 1:
        yield Problem("loss.critic_steps", f"{node} moves both players once per step", "Use loss.critic_steps=1.")
    for augment in nodes(config.get("augment"), "augment"):
        cause = f"{node} needs the same discriminator twice, but {augment} draws afresh"
        yield Problem(augment.path, cause, "Leave one of the two techniques out.")
    for term in nodes(at(config, "loss", "generator_terms"), "loss.generator_terms"):
        if "on_weights" in term.traits("provides"):
            cause = f"{node} reaches the generator through its fakes, and {term} is about its weights"
            yield Problem(term.path, cause, "Leave one of the two techniques out.")


def _averages_of_a_shared_encoder(config: dict[str, Any]) -> Iterator[Problem]:
    """Averaged weights of one player, which were trained on what the other's network encodes."""
    game = next(nodes(config.get("model"), "model"), None)
    generator, discriminator = (at(config, "player", player, "ema") for player in ("generator", "discriminator"))
    if game and "shared_encoder" in game.traits("provides") and generator != discriminator:
        cause = f"the decoders of {game} need the encoders that they were trained with, which are the discriminators'"
        yield Problem(
            "player.generator.ema",
            f"{cause}: both are averaged alike, or neither",
            "Use player.generator.ema=null and player.discriminator.ema=null, or give both the same.",
        )


def _normal_latents(config: dict[str, Any]) -> Iterator[Problem]:
    """Networks that draw further latents from N(0, I), beside others."""
    latent = next(nodes(at(config, "model", "latent"), "model.latent"), None)
    if latent is None or latent.target.node.name == "Normal":
        return
    for node in nodes(config.get("model"), "model"):
        if node.values.get("norm") == "virtual" and "norm" in (node.target.parameters or ("norm",)):
            cause = f"virtual batch norm has normal reference latents, and those of {latent} are not"
            yield Problem(f"{node.path}.norm", cause, "Use norm=batch, or normal latents.")
        if "normal_latents" in node.traits("requires"):
            cause = f"{node.target.path} draws further latents from N(0, I), and those of {latent} are not normal"
            yield Problem(latent.path, cause, "Use normal latents.")


def _without_data(config: dict[str, Any], provided: frozenset[str]) -> Iterator[Problem]:
    """Components that require what the data do not provide."""
    given = f"dataset provides {listing(sorted(DATA.get(trait, trait) for trait in provided))}"
    model = list(nodes(config.get("model"), "model"))
    metrics = at(config, "evaluation", "metrics")
    scored = not model or {"samples", "answers"} & set(model[0].traits("provides"))
    for node in [*model, *_choosing(config), *(nodes(metrics, "evaluation.metrics") if scored else ())]:
        for trait in node.traits("requires"):
            if trait in DATA and trait not in provided:
                cause = f"{node.target.path} needs {DATA[trait]}, but {given}"
                yield Problem(node.path, cause, _remedy(node.path, trait))
    conditional = next((node.path for node in model if node.values.get("conditional") is True), None)
    if conditional is not None and "labels" not in provided:
        remedy = f"Set {conditional}.conditional=false or choose labelled data."
        yield Problem(f"{conditional}.conditional", f"a conditional model needs labels, but {given}", remedy)


def _sets_of_images(config: dict[str, Any], provided: frozenset[str]) -> Iterator[Problem]:
    """Scores of sets of images, where there is one image."""
    metrics = at(config, "evaluation", "metrics")
    if "single_image" not in provided or not isinstance(metrics, dict):
        return
    found = {name: next(nodes(values, f"evaluation.metrics.{name}"), None) for name, values in metrics.items()}
    of_sets = [name for name, node in found.items() if node and "single_image" not in node.traits("requires")]
    if of_sets:
        verb = "compare" if len(of_sets) > 1 else "compares"
        cause = f"{listing(of_sets)} {verb} samples with many images, and dataset provides a single image"
        yield Problem("evaluation.metrics", cause, "Use evaluation=single_image, or evaluation=none.")


def _remedy(path: str, trait: str) -> str:
    group = path.split(".")[0]
    if trait == "two_domains":
        return "Choose dataset=unpaired."
    if trait == "single_image":
        return "Choose dataset=single_image."
    if trait == "aligned":
        return "Choose dataset=paired or dataset=label_maps."
    if trait == "label_maps":
        return "Choose dataset=label_maps."
    if trait == "captions":
        return "Choose dataset=captioned, or dataset=shapes dataset.goes_with=texts."
    others = {
        "evaluation": "Choose another evaluation (evaluation=points, evaluation=none) or another dataset.",
        "model": "Choose another model (model=toy for 2-D points) or another dataset.",
        "augment": "Leave the technique out, or choose another dataset.",
    }
    return others.get(group, f"Choose another {group} or another dataset.")


def _not_square(config: dict[str, Any], facts: Facts) -> Iterator[Problem]:
    """Networks that are made for one side length, before images that have two."""
    if facts.kind != "images" or facts.shape[1] == facts.shape[2]:
        return
    for path, node, target in nodes(config.get("model"), "model"):
        if "size" in (target.parameters or {}) and "size" not in node:
            cause = f"{target.path} needs square images, and these are {facts.shape[2]}x{facts.shape[1]}"
            yield Problem(path, cause, "Set dataset.size with dataset.crop=center.")


def _uneven_batch(config: dict[str, Any]) -> Iterator[Problem]:
    batch, devices, accumulate = (at(config, "trainer", key) for key in ("batch_size", "devices", "accumulate"))
    shares = devices * accumulate if isinstance(devices, int) and isinstance(accumulate, int) else 0
    if isinstance(batch, int) and shares > 0 and batch % shares:
        cause = f"{batch} samples cannot be shared by {devices} devices x {accumulate} micro-batches"
        yield Problem("trainer.batch_size", cause, f"Use a multiple of {shares}.")


def _one_image(config: dict[str, Any]) -> Iterator[Problem]:
    """More than one sample at a time for a game of a single image."""
    game = next(nodes(config.get("model"), "model"), None)
    if not game or "single_image" not in game.traits("requires") or at(config, "trainer", "batch_size") is None:
        return
    if not is_alone(config):
        cause = f"{game.target.path} learns from exactly one image"
        remedy = "Use trainer.batch_size=1, or with several processes one for each."
        yield Problem("trainer.batch_size", cause, remedy)


def _standing_statistics(config: dict[str, Any]) -> Iterator[Problem]:
    """Statistics over samples of a game that makes none by itself, or whose norms were trained on one image."""
    game = next(nodes(config.get("model"), "model"), None)
    if not game or not at(config, "trainer", "standing_batches"):
        return
    cause = ""
    if "samples" not in game.traits("provides"):
        cause = f"standing statistics are those of samples, and {game} draws none by itself"
    elif "single_image" in game.traits("requires"):
        cause = f"standing statistics are those of many samples, and norms of {game} see one image at a time"
    if cause:
        yield Problem("trainer.standing_batches", cause, "Use trainer.standing_batches=0.")


def _unknown_best(config: dict[str, Any]) -> Iterator[Problem]:
    best, metrics = at(config, "evaluation", "best"), at(config, "evaluation", "metrics")
    if best is not None and isinstance(metrics, dict) and best not in metrics:
        yield Problem("evaluation.best", f"no metric is called {best!r}", f"Metrics: {listing(metrics)}.")
