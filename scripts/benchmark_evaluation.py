"""Speed of the evaluation against torch-fidelity and plain scipy, and its memory as the number of samples grows.

    python scripts/benchmark_evaluation.py speed --root FOLDER_WITH_MNIST [--repeats 3]
    python scripts/benchmark_evaluation.py memory [--counts 10000 50000 100000]

One thread. All ways of a comparison are timed in turns in one process, in processor time; the figures are the best of
the repeats.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor

from ganrun.data.mnist import Mnist
from ganrun.metrics.base import SEED, Evaluation, moments, private_randomness, quantise, real_images
from ganrun.metrics.distances import nearest
from ganrun.metrics.features.classifier import Classifier, ClassifierExtractor
from ganrun.metrics.fid import FID, fid
from ganrun.metrics.inception_score import InceptionScore
from ganrun.metrics.kde import log_likelihood
from ganrun.metrics.kid import KID
from ganrun.metrics.mifid import nearest_cosine_distance
from ganrun.metrics.precision_recall import Precision, Recall

COUNT = 10_000


def main() -> None:
    """Run the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    speed = parts.add_parser("speed")
    speed.add_argument("--root", required=True)
    speed.add_argument("--repeats", type=int, default=3)
    memory = parts.add_parser("memory")
    memory.add_argument("--counts", type=int, nargs="+", default=[10_000, 50_000, 100_000])
    one = parts.add_parser("peak")
    one.add_argument("score")
    one.add_argument("count", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "speed":
        full_evaluation(options.root, options.repeats)
        distance(options.repeats)
    elif options.part == "memory":
        memory_table(options.counts)
    else:
        peak(options.score, options.count)


def compare(ways: dict[str, Callable[[], dict[str, float]]], repeats: int) -> None:
    """Time every way in turns; print the scores, the best processor time and its ratio to the first way's."""
    best = dict.fromkeys(ways, float("inf"))
    scores: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            begin = cpu_seconds()
            scores[name] = way()
            best[name] = min(best[name], cpu_seconds() - begin)
    first = next(iter(best.values()))
    for name, seconds in best.items():
        told = "  ".join(f"{tag} {value:.6g}" for tag, value in scores[name].items())
        print(f"{name:32} {seconds:8.2f} s  {seconds / first:6.2f} x   {told}", flush=True)


def cpu_seconds() -> float:
    """Processor time of this process and its children, which other programs on the machine change little."""
    return sum(os.times()[:4])


def full_evaluation(root: str, repeats: int) -> None:
    """FID, Inception Score, KID, precision and recall of 10,000 images against 10,000 of MNIST."""
    dataset = Mnist(
        root=root, download=False, split="train", size=32, filter="bicubic", subset=None, subset_seed=0, flip=False
    )
    source = Classifier(32, [32, 64, 128], 64, 20000, 0.1, 10, 2, 64, 1e-3)
    extractor = source.extractor(dataset)
    real = torch.cat([images for images, _ in real_images(dataset, COUNT, 1000)])
    generator = torch.Generator().manual_seed(1)
    floats = dataset.fetch((torch.arange(COUNT),), augment=False).real
    generated = quantise(floats + 0.3 * torch.randn(floats.shape, generator=generator))

    def ours(cached: bool) -> dict[str, float]:
        if not cached:
            os.environ["GANRUN_CACHE"] = tempfile.mkdtemp()
        position = 0

        def generate(count: int) -> Tensor:
            nonlocal position
            position += count
            return generated[position - count : position].float() / 127.5 - 1

        metrics = {
            "fid": FID(), "inception_score": InceptionScore(10), "kid": KID(100, 1000, COUNT),
            "precision": Precision(3, COUNT), "recall": Recall(3, COUNT),
        }  # fmt: skip
        fixed = FixedSource(extractor)
        evaluation = Evaluation(metrics, fixed, dataset, COUNT, COUNT, 250, False, "train", "raw", None, 0)
        return evaluation.run(generate)

    print(f"full evaluation: {COUNT} images against {COUNT}")
    ours(cached=False)
    ways = {
        "ganrun": lambda: ours(cached=True),
        "ganrun, nothing cached": lambda: ours(cached=False),
        "torch-fidelity": lambda: by_torch_fidelity(extractor, generated, real),
        "numpy and scipy": lambda: by_scipy(extractor, generated, real),
    }
    compare(ways, repeats)


class FixedSource:
    """An extractor that is there already.

    Args:
        made: the extractor.
    """

    def __init__(self, made: ClassifierExtractor) -> None:
        self.made = made

    def extractor(self, dataset: Any) -> ClassifierExtractor:
        """The extractor."""
        return self.made


def by_torch_fidelity(extractor: ClassifierExtractor, generated: Tensor, real: Tensor) -> dict[str, float]:
    """The same scores by ``torch_fidelity.calculate_metrics`` on the same network."""
    import torch_fidelity
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    class Wrapped(FeatureExtractorBase):
        def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
            super().__init__(name, features_list)
            self.network = extractor.network

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return "pooled", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "pooled"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            found = self.network(images[:, :1])
            return tuple(getattr(found, name) for name in self.features_list)

    if "ours" not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor("ours", Wrapped)
    found = torch_fidelity.calculate_metrics(
        input1=Images(generated), input2=Images(real), feature_extractor="ours", isc=True, fid=True, kid=True, prc=True,
        kid_subsets=100, kid_subset_size=1000, batch_size=250, cuda=False, cache=False, verbose=False,
    )  # fmt: skip
    return {
        "fid": found["frechet_inception_distance"],
        "inception_score": found["inception_score_mean"],
        "kid": found["kernel_inception_distance_mean"],
        "precision": found["precision"],
        "recall": found["recall"],
    }


class Images(torch.utils.data.Dataset):
    """What torch-fidelity reads: uint8 RGB.

    Args:
        images: ``[N, 1, H, W]``.
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def by_scipy(extractor: ClassifierExtractor, generated: Tensor, real: Tensor) -> dict[str, float]:
    """The same scores written down plainly in float64."""
    from scipy.spatial.distance import cdist
    from scipy.special import log_softmax

    parts = [[extractor(batch) for batch in images.split(250)] for images in (generated, real)]
    x, y = (torch.cat([part.pooled for part in some]).double().numpy() for some in parts)
    logits = torch.cat([part.logits for part in parts[0]]).double().numpy()
    rng = np.random.default_rng(0)

    scores = []
    for some in np.array_split(logits[rng.permutation(COUNT)], 10):
        log_p = log_softmax(some, axis=1)
        p = np.exp(log_p)
        scores.append(np.exp((p * (log_p - np.log(p.mean(0)))).sum(1).mean()))
    kid = []
    for _ in range(100):
        a, b = x[rng.permutation(COUNT)[:1000]], y[rng.permutation(COUNT)[:1000]]
        kxx, kyy, kxy = ((p @ q.T / x.shape[1] + 1) ** 3 for p, q in ((a, a), (b, b), (a, b)))
        within = kxx.sum() - np.trace(kxx) + kyy.sum() - np.trace(kyy)
        kid.append(within / (1000 * 999) - 2 * kxy.mean())
    cross = cdist(x, y)
    radii_x, radii_y = (np.partition(cdist(some, some), 3, axis=1)[:, 3] for some in (x, y))
    return {
        "fid": scipy_distance(x, y),
        "inception_score": float(np.mean(scores)),
        "kid": float(np.mean(kid)),
        "precision": float((cross <= radii_y).any(1).mean()),
        "recall": float((cross <= radii_x[:, None]).any(0).mean()),
    }


def scipy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance by ``scipy.linalg.sqrtm``, as in the original code."""
    from scipy.linalg import sqrtm

    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(first @ second).real
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(first + second - 2 * root))


def distance(repeats: int) -> None:
    """The distance alone, from 5,000 features of each kind at Inception's size."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(2048, 2048, generator=generator) / 2048**0.5
    x = torch.randn(5000, 2048, generator=generator) @ mixing
    y = torch.randn(5000, 2048, generator=generator) + 0.1

    def by_fidelity() -> dict[str, float]:
        statistics = [fid_features_to_statistics(some) for some in (x, y)]
        return {"fid": fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]}

    print("Frechet distance: 5000 against 5000 features of 2048 dimensions, covariances included")
    ways = {
        "ganrun": lambda: {"fid": fid(moments([x]), moments([y]))},
        "torch-fidelity": by_fidelity,
        "numpy and scipy": lambda: {"fid": scipy_distance(x.double().numpy(), y.double().numpy())},
    }
    compare(ways, repeats)


def memory_table(counts: list[int]) -> None:
    """Peak memory above that of the features themselves, every score and count in a process of its own."""
    for score in SCORES:
        for count in counts:
            subprocess.run([sys.executable, __file__, "peak", score, str(count)], check=True)


SCORES: dict[str, tuple[int, Callable[[Tensor, Tensor], object]]] = {
    "fid": (2048, lambda real, generated: fid(moments([generated]), moments([real]))),
    "mifid_penalty": (64, lambda real, generated: nearest_cosine_distance(generated[:10_000], real)),
    "kde": (64, lambda real, generated: log_likelihood(real[:10_000], generated, [0.5])),
    "radii": (64, lambda real, generated: nearest(generated[:10_000], real, 6)),
}
"""Score -> dimensions, and what is measured; of work that grows with the square, 10,000 rows are."""


def peak(name: str, count: int) -> None:
    """Measure one score in this process."""
    dimensions, score = SCORES[name]
    score(torch.rand(50, 8), torch.rand(50, 8))  # libraries allocate at the first call
    real, generated = torch.rand(2, count, dimensions)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    score(real, generated)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    features = 2 * real.numel() * 4 / 2**20
    print(
        f"{name:18} n {count:7,}  d {dimensions:5}  features {features:7.0f} MB  "
        f"peak above them {(after - before) / 1024:7.0f} MB  {time.perf_counter() - begin:6.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    with private_randomness(SEED):
        main()
