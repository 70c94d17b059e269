"""Google's Speech Commands, version 0.02: ten spoken words, other words and silence, as log-mel spectrograms.

Reference:
    Pete Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, 2018,
    https://arxiv.org/abs/1804.03209
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.request
import wave
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dynsparse.data.mel_spectrogram import RATE, log_mel
from dynsparse.random import Purpose, Stream, permutation, uniform

Array = np.ndarray[Any, Any]

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*WORDS, "unknown", "silence")
ARCHIVE = "speech_commands_v0.02.tar.gz"
# The unpacked archive, where torchaudio puts it.
FOLDER = "SpeechCommands/speech_commands_v0.02"
URL = f"https://storage.googleapis.com/download.tensorflow.org/data/{ARCHIVE}"
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
NOISE, TEST_LIST = "_background_noise_", "testing_list.txt"
# Examples of "unknown", and of "silence", for one of the ten words: as in the paper, as many as of a word on average.
SHARE = 0.1
# All trials get the same examples, whatever their seed.
SEED = 0


def download_speech_commands(folder: Path) -> None:
    """Download the archive into a folder. Raises: OSError."""
    urllib.request.urlretrieve(URL, folder / ARCHIVE)
    with open(folder / ARCHIVE, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise OSError(f"{URL} must have the checksum {SHA256}, got {found}")


def read_speech_commands(folder: Path, download: bool) -> tuple[Array, Array, Array, Array]:
    """Return spectrograms and classes, in the order of CLASSES: train_x, train_y, test_x, test_y.

    The clips in testing_list.txt are the test set; those in validation_list.txt are training examples. Of the other
    words, a tenth as many clips as of the ten words are drawn, for "unknown". As many seconds of the background noise,
    with random places and volumes, are "silence".

    Shapes: x (examples, 32, 32), uint8; y (examples,).

    Args:
        folder: has the archive, or FOLDER with its content, which is read if both are there.
        download: download the archive first.

    Raises:
        ValueError: If a clip, a word, the list of the test set or the background noise is missing or cannot be read.
        OSError: If the files cannot be read or downloaded.
    """
    if download:
        download_speech_commands(folder)
    source = _Folder(folder / FOLDER) if (folder / FOLDER).is_dir() else _Archive(folder / ARCHIVE)
    names = sorted(source.names())
    clips = [name for name in names if name.endswith(".wav")]
    noises = [name for name in clips if _word(name) == NOISE]
    words = [name for name in clips if _word(name) != NOISE]
    missing = sorted({*WORDS, NOISE} - {_word(name) for name in clips})
    if missing or TEST_LIST not in names:
        raise ValueError(
            f"{source.path} must have a folder of .wav files for each of the ten words, {NOISE} and {TEST_LIST}; "
            f"missing: {', '.join([*missing, *([] if TEST_LIST in names else [TEST_LIST])])}"
        )
    in_test = set(dict(source.contents([TEST_LIST]))[TEST_LIST].decode().split())
    parts = [
        _choose_clips([name for name in words if (name in in_test) == is_test], layer=int(is_test))
        for is_test in (False, True)
    ]
    wanted = {name for part in parts for name in part} | set(noises)
    found = {
        name: _samples(name, content) if _word(name) == NOISE else _spectrogram(name, content)
        for name, content in source.contents(wanted)
    }
    arrays = []
    for is_test, part in enumerate(parts):
        silence = _silence([found[name] for name in noises], _n_others(part), layer=is_test)
        arrays += [np.concatenate([np.stack([found[name] for name in part]), log_mel(silence)])]
        arrays += [np.array([*map(_class, part), *[CLASSES.index("silence")] * len(silence)])]
    train_x, train_y, test_x, test_y = arrays
    return train_x, train_y, test_x, test_y


def _word(name: str) -> str:
    return PurePosixPath(name).parent.name


def _class(name: str) -> int:
    return CLASSES.index(_word(name) if _word(name) in WORDS else "unknown")


def _choose_clips(names: Sequence[str], layer: int) -> list[str]:
    """Return the clips of the ten words, and some of those of other words."""
    ours, others = ([name for name in names if (_word(name) in WORDS) == is_ours] for is_ours in (True, False))
    n_others = _n_others(ours)
    if not ours or len(others) < n_others:
        part = "test" if layer else "training"
        raise ValueError(
            f"the {part} part must have clips of the ten words, and a tenth as many of others, got {len(ours)} and "
            f"{len(others)}"
        )
    order = permutation(len(others), Stream(SEED, Purpose.SPEECH_CLIPS, layer=layer))[:n_others]
    return [*ours, *(others[place] for place in sorted(order.tolist()))]


def _n_others(names: Sequence[str]) -> int:
    """Return how many examples of "unknown", and of "silence", go with clips of the ten words."""
    return max(1, round(SHARE * sum(_word(name) in WORDS for name in names)))


def _samples(name: str, content: bytes) -> Array:
    """Return the samples of a WAV file. Shapes: (samples,), int16. Raises: ValueError."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            form = file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()
            n_samples, samples = file.getnframes(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{name} must be a WAV file, and cannot be read: {str(error) or 'it is cut short'}") from error
    if form != (1, 16, RATE):
        raise ValueError(
            f"{name} must have 1 channel of 16 bits with {RATE} samples per second, got {form[0]} of {form[1]} bits "
            f"with {form[2]}"
        )
    if n_samples == 0 or len(samples) != 2 * n_samples:
        raise ValueError(f"{name} must have {n_samples or 'some'} samples, got {len(samples) // 2}: it is cut short")
    return np.frombuffer(samples, "<i2")


def _one_second(samples: Array) -> Array:
    """Return the first second, with silence at the end if there is less."""
    return np.pad(samples[:RATE], (0, max(0, RATE - len(samples))))


def _spectrogram(name: str, content: bytes) -> Array:
    return np.asarray(log_mel(_one_second(_samples(name, content))[None])[0])


def _silence(noises: Sequence[Array], n: int, layer: int) -> Array:
    """Return seconds of background noise. Shapes: (n, 16000)."""
    # The stream of the same layer and step 0 chooses the clips of other words.
    drawn = uniform((n, 3), Stream(SEED, Purpose.SPEECH_CLIPS, layer=layer, step=1)).double().numpy()
    clips = []
    for file, place, volume in drawn:
        noise = noises[int(file * len(noises))]
        start = int(place * max(1, len(noise) - RATE + 1))
        clips.append(_one_second(noise[start:]) * volume)
    return np.stack(clips)


class _Folder:
    """The unpacked archive."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the names of all files."""
        return [each.relative_to(self.path).as_posix() for each in self.path.rglob("*") if each.is_file()]

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents of files."""
        for name in names:
            yield name, (self.path / name).read_bytes()


class _Archive:
    """The archive, read from its beginning each time: it can only be unpacked in order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the names of all files."""
        with tarfile.open(self.path) as archive:
            return [PurePosixPath(each.name).as_posix() for each in archive if each.isfile()]

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents of files."""
        with tarfile.open(self.path) as archive:
            for each in archive:
                name = PurePosixPath(each.name).as_posix()
                content = archive.extractfile(each) if name in names else None
                if content is not None:
                    yield name, content.read()
