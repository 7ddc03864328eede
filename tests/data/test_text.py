import hashlib
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from ganrun.core.errors import DataError
from ganrun.data.text import BagOfWords, FromFile, HashedNgrams, SentenceEncoder, ngrams, plain, words

TEXTS = ["a red circle above a blue square", "a red circle below a blue square", "two dogs run on a beach"]


def test_words():
    assert words("A dog's  BALL, 2 of_them!") == ["a", "dog", "s", "ball", "2", "of", "them"]
    assert plain(" Caf\u00e9\n AU ") == plain("cafe\u0301 au") == "caf\u00e9 au"
    assert list(ngrams("Ab c")) == [" ab", "ab ", "b c", " c ", " ab ", "ab c", "b c ", " ab c", "ab c "]


def test_bag_of_words():
    encoder = BagOfWords(smallest_count=2)
    vocabulary = encoder.vocabulary(TEXTS)
    assert vocabulary == ("a", "blue", "circle", "red", "square")
    assert encoder.size(vocabulary) == 5
    vectors = encoder.encode([*TEXTS, "nothing known"], vocabulary)
    assert torch.allclose(vectors[0] * 8**0.5, torch.tensor([2.0, 1, 1, 1, 1]))
    assert torch.equal(vectors[0], vectors[1])  # "above" is rare, and so is "below"
    assert torch.equal(vectors[3], torch.zeros(5))
    assert vectors[:3].norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(DataError, match=r"No word occurs 9 times"):
        BagOfWords(smallest_count=9).vocabulary(TEXTS)


def test_hashed_ngrams_are_the_same_everywhere():
    encoder = HashedNgrams(16)
    assert encoder.vocabulary(TEXTS) == ()
    vector = encoder.encode(["A red circle"], ())[0]
    assert vector[:6].tolist() == pytest.approx([0.1325, -0.1325, -0.1325, 0, 0.5298, 0.1325], abs=1e-4)
    counts = np.zeros(16)
    for ngram in ngrams("a red circle"):
        value = int.from_bytes(hashlib.blake2b(ngram.encode(), digest_size=8).digest(), "little")
        counts[(value >> 1) % 16] += 1 if value % 2 else -1
    assert torch.allclose(vector, torch.tensor(counts / np.linalg.norm(counts)).float())
    program = "from ganrun.data.text import *; print(HashedNgrams(16).encode(['A red circle'], ())[0].tolist())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(vector.tolist())


def test_related_captions_are_near():
    vectors = HashedNgrams(512).encode([*TEXTS, "A dog running at the beach", "A RED circle above a blue square."], ())
    assert vectors.norm(dim=1).tolist() == pytest.approx([1] * 5)
    similar = vectors @ vectors.T
    assert float(similar[0, 4]) == pytest.approx(1)  # capitals and stops do not count
    assert 0.5 < similar[0, 1] < 0.99
    assert similar[2, 3] > 0.25 > 0.1 > similar[0, 2].abs()


def test_vectors_of_a_file(tmp_path):
    path = tmp_path / "vectors.npz"
    np.savez(path, captions=["A red  circle", "a dog"], vectors=[[3.0, 4.0], [0.0, 2.0]])
    encoder = FromFile(str(path))
    assert encoder.size(()) == 2
    assert torch.allclose(encoder.encode(["a dog", "a RED circle"], ()), torch.tensor([[0, 1], [0.6, 0.8]]))
    with pytest.raises(DataError, match=r"no vector of 'a cat' and 1 more.*hashed_ngrams"):
        encoder.encode(["a dog", "a cat", "a cow"], ())
    with pytest.raises(DataError, match=r"Did you mean vectors\.npz"):
        FromFile(str(tmp_path / "vector.npz"))
    np.savez(path, captions=["a"], vectors=[[1.0], [2.0]])
    with pytest.raises(DataError, match=r"holds no vectors of captions"):
        FromFile(str(path))


def test_sentence_encoder(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(DataError, match=r"pip install 'ganrun\[sentences\]', or .*hashed_ngrams"):
        SentenceEncoder("some-model").size(())

    class Network:
        def __init__(self, model, device, local_files_only):
            if model != "some-model":
                raise OSError("not found")

        def get_sentence_embedding_dimension(self):
            return 2

        def encode(self, texts, convert_to_numpy, show_progress_bar):
            return np.array([[len(text), 0] for text in texts])

    module = types.SimpleNamespace(SentenceTransformer=Network)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    encoder = SentenceEncoder("some-model")
    assert encoder.size(()) == 2
    assert encoder.encode(["a", "abc"], ()).tolist() == [[1, 0], [1, 0]]
    with pytest.raises(DataError, match=r"'another' is not on this machine \(not found\)"):
        SentenceEncoder("another").size(())
