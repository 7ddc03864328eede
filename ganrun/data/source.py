"""Where image files come from: a directory or a ZIP archive, read in place."""

from __future__ import annotations

import difflib
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ganrun.core.errors import DataError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_TABLES = (".csv", ".jsonl")


@dataclass(frozen=True)
class Source:
    """Image files by name.

    Args:
        path: the directory or the archive.
        stamps: name relative to ``path`` (with ``/``) -> text that changes when the file does, sorted by name.
        read: name -> content; may be called from several threads.
        tables: names of the files that may say something of the images: CSV and JSON lines.
    """

    path: Path
    stamps: dict[str, str]
    read: Callable[[str], bytes]
    tables: tuple[str, ...] = ()

    def digest(self, names: Iterable[str]) -> str:
        """Hash of the names and states of some files; the same wherever the directory or archive is moved."""
        listing = "\n".join(f"{name}\t{self.stamps[name]}" for name in names)
        return hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()

    def below(self, folder: str) -> list[str]:
        """Names below ``folder``.

        Raises:
            DataError: there is no image below it.
        """
        prefix = folder.strip("/") + "/"
        names = [name for name in self.stamps if name.startswith(prefix)]
        if not names:
            parents = {str(parent) for name in self.stamps for parent in PurePosixPath(name).parents} - {"."}
            raise DataError(f"{self.path} has no images below {folder!r}. {_suggest(folder, sorted(parents))}")
        return names


def open_source(path: str | None, option: str = "dataset.path") -> Source:
    """The image files of a directory or a ZIP; hidden files and what macOS adds are left out.

    Args:
        path: what was named.
        option: by which setting, for messages.

    Raises:
        DataError: nothing was named, it does not exist, cannot be read or holds no image.
    """
    if path is None:
        raise DataError(f"No images were named. Give a directory or a ZIP archive with {option}=...")
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(missing(place, option))
    try:
        if place.is_dir():
            source = _directory(place)
        elif zipfile.is_zipfile(place):
            source = _archive(place)
        else:
            raise DataError(f"{place} is neither a directory nor a ZIP archive. Point {option} at one of these.")
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{place} cannot be read ({error}). Check its permissions and that it is complete.") from error
    if not source.stamps:
        kinds = ", ".join(suffix[1:] for suffix in _SUFFIXES)
        raise DataError(f"{place} holds no images. Point {option} at a folder or ZIP with files of a kind of {kinds}.")
    return source


def open_input(path: str, option: str) -> Source:
    """As :func:`open_source`; a single image may be named too.

    Raises:
        DataError: it does not exist, cannot be read or holds no image.
    """
    place = Path(path).expanduser()
    if not place.is_file() or zipfile.is_zipfile(place):
        return open_source(path, option)
    return Source(place.parent, {place.name: ""}, lambda name: place.read_bytes())


def missing(path: Path, option: str) -> str:
    """Say that ``path`` does not exist, up to where it does, and what looks like it."""
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    wanted = path.absolute().relative_to(existing).parts[0]
    try:
        beside = sorted(entry.name for entry in existing.iterdir())
    except OSError:
        beside = []
    return f"{path} does not exist: {existing} has no {wanted!r}. {_suggest(wanted, beside)} Set {option}=..."


def _suggest(wanted: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, known, n=3)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"It has {', '.join(known[:8])}{' ...' if len(known) > 8 else ''}." if known else "It is empty."


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name


def _directory(root: Path) -> Source:
    stamps, tables = {}, []
    for folder, _, files in os.walk(root, followlinks=True):
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            if _is_hidden(name):
                continue
            if name.lower().endswith(_SUFFIXES):
                status = path.stat()
                stamps[name] = f"{status.st_size}-{status.st_mtime_ns}"
            elif name.lower().endswith(_TABLES):
                tables.append(name)
    return Source(root, dict(sorted(stamps.items())), lambda name: (root / name).read_bytes(), tuple(sorted(tables)))


def _archive(path: Path) -> Source:
    archive = zipfile.ZipFile(path)
    infos = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
    images = [info for info in infos if info.filename.lower().endswith(_SUFFIXES)]
    stamps = {info.filename: f"{info.file_size}-{info.CRC:08x}" for info in images}
    tables = sorted(info.filename for info in infos if info.filename.lower().endswith(_TABLES))
    return Source(path, dict(sorted(stamps.items())), archive.read, tuple(tables))
