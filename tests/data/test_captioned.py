import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import DataError
from ganrun.data.captioned import Captioned
from ganrun.data.text import BagOfWords, HashedNgrams

DEFAULTS = {
    "captions": None,
    "size": None,
    "load_size": None,
    "crop": "center",
    "filter": "bicubic",
    "subset": None,
    "subset_seed": 0,
    "flip": False,
}
TABLE = 'image,caption\n0.png,a red dog\n1.png,"a cat, asleep"\n0.png,one dog\n2.png,a hill\n0.png,the dog\n'


def captioned(path, encoder=None, **changes):
    return Captioned(path=str(path), encoder=encoder or HashedNgrams(64), **DEFAULTS | changes)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(np.full((8, 8), number, dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "data"


def test_csv(images):
    (images / "captions.csv").write_text(TABLE)
    dataset = captioned(images)
    assert dataset.facts.provides == {"images", "captions"}
    assert (dataset.facts.condition, dataset.facts.condition_shape) == ("texts", (64,))
    assert "5 captions as 64 numbers" in dataset.facts.description
    batch = dataset.examples(3)
    assert batch.texts == ("a red dog", "a cat, asleep", "a hill")
    assert torch.equal(batch.condition, HashedNgrams(64).encode(batch.texts, ()))
    subset = captioned(images, subset=2)
    assert subset.facts.count == (2,)
    assert len(subset.captions.texts) == 2


def test_every_caption_is_drawn_as_often(images):
    (images / "captions.csv").write_text(TABLE)
    dataset = captioned(images)
    known = HashedNgrams(64).encode(["a red dog", "one dog", "the dog"], ())
    torch.manual_seed(0)
    batch = dataset.fetch((torch.zeros(600, dtype=torch.int64),))
    assert batch.texts == ()
    counts = [int((batch.condition == vector).all(1).sum()) for vector in known]
    assert sum(counts) == 600
    assert min(counts) > 160
    fixed = dataset.fetch((torch.zeros(9, dtype=torch.int64),), augment=False)
    assert torch.equal(fixed.condition, known[:1].expand(9, -1))
    torch.manual_seed(0)
    assert torch.equal(dataset.fetch((torch.zeros(600, dtype=torch.int64),)).condition, batch.condition)


def test_json_lines_in_an_archive(images, tmp_path):
    entries = [
        {"image": "images/0.png", "captions": ["a red dog", "one dog"]},
        {"image": "images/1.png", "caption": "a cat"},
        {"image": "./images/2.png", "caption": "a  hill\n"},
    ]
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        for path in images.glob("images/*"):
            archive.write(path, f"images/{path.name}")
        archive.writestr("texts.jsonl", "\n".join(map(json.dumps, entries)))
    dataset = captioned(tmp_path / "pack.zip")
    assert dataset.examples(3).texts == ("a red dog", "a cat", "a hill")
    assert dataset.captions.counts.tolist() == [2, 1, 1]


def test_the_vocabulary_is_a_fact(images):
    (images / "captions.csv").write_text(TABLE)
    facts = captioned(images, BagOfWords(2)).facts
    assert facts.vocabulary == ("a", "dog")
    assert facts.condition_size == 2
    assert facts.fingerprint != captioned(images, BagOfWords(1)).facts.fingerprint
    before = captioned(images).facts.fingerprint
    (images / "captions.csv").write_text(TABLE.replace("hill", "hull"))
    assert captioned(images).facts.fingerprint != before


def test_where_captions_are(images, tmp_path):
    with pytest.raises(DataError, match=r"has no captions\. Put captions\.csv or captions\.jsonl beside"):
        captioned(images)
    (images / "captions.csv").write_text(TABLE)
    assert captioned(images / "images").examples(1).texts == ("a red dog",)  # beside the folder
    (images / "notes.csv").write_text("a,b\n")
    assert captioned(images).examples(1).texts == ("a red dog",)  # by its name
    (images / "captions.jsonl").write_text("")
    with pytest.raises(DataError, match=r"several files of captions: captions\.csv, captions\.jsonl"):
        captioned(images)
    (tmp_path / "other.csv").write_text(TABLE.replace("red", "blue"))
    named = captioned(images, captions=str(tmp_path / "other.csv"))
    assert named.examples(1).texts == ("a blue dog",)
    with pytest.raises(DataError, match=r"Did you mean other\.csv\? Set dataset\.captions"):
        captioned(images, captions=str(tmp_path / "otter.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: the first line must name the columns image,caption"),
        ("image,caption\n", r"holds no captions"),
        ("0.png,a dog\n", r"line 1: the first line must name the columns image,caption, and is '0\.png,a dog'"),
        (TABLE + "1.png,a cat, awake\n", r"line 7: 3 values for 2 columns.*quotes"),
        (TABLE + '1.png,"a cat" asleep\n', r"line 7: this is no CSV"),
        (TABLE + "1.png, \n", r"line 7: the caption of 1\.png is empty"),
        (TABLE + "3.png,a sea\n4.png,a sea\n", r"captions of 2 images \(3\.png \(line 7\), 4\.png \(line 8\)\) that"),
        ("image,caption\n1.png,a cat\n", r"has no caption of 2 images \(images/0\.png, images/2\.png\) of"),
    ],
)
def test_malformed_csv(images, text, message):
    (images / "captions.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        captioned(images)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"image": "0.png"}', '{"image": 0, "caption": "a"}', '{"image": "0.png", "captions": "a"}']
)
def test_malformed_json_lines(images, line):
    (images / "captions.jsonl").write_text('{"image": "0.png", "caption": "a dog"}\n' + line)
    with pytest.raises(DataError, match=r"line 2: this is not \{\"image\""):
        captioned(images)


def test_other_encodings(images):
    (images / "captions.csv").write_bytes(TABLE.encode() + "1.png,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 7: this is not UTF-8"):
        captioned(images)
    (images / "captions.csv").write_bytes(b"\xef\xbb\xbf" + TABLE.encode())
    assert captioned(images).facts.count == (3,)


def test_names_that_are_not_unique(images):
    (images / "more").mkdir()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(images / "more" / "0.png")
    (images / "captions.csv").write_text(TABLE)
    with pytest.raises(DataError, match=r"line 2: 0\.png may be images/0\.png or more/0\.png"):
        captioned(images)


def test_flickr(shared_data):
    pack = shared_data / "flickr8k-subset" / "flickr8k-subset-128.zip"
    dataset = captioned(pack, HashedNgrams(512), size=16)
    assert dataset.facts.count == (520,)
    assert dataset.captions.counts.unique().tolist() == [5]
    vectors = dataset.captions.vectors.view(520, 5, 512)
    within = (vectors[:, :1] @ vectors[:, 1:].mT).mean()
    across = (vectors[:-1, :1] @ vectors[1:, 1:].mT).mean()
    assert within > 2 * across  # captions of one picture are nearer to each other than to those of others
