"""A small data set in the layout of Speech Commands: each word is a tone."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from dynsparse.data.speech_commands import FOLDER, NOISE, TEST_LIST, WORDS

RATE = 16_000
OTHER_WORDS = ("bed", "cat")


def write_wav(path: Path, samples: np.ndarray, *, rate: int = RATE, channels: int = 1) -> None:
    """Write samples in [-1, 1] with 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())


def frequency(word: str) -> float:
    """The tone of a word, in Hz: a third higher for each of the ten words; other words are lower."""
    return 400 * 1.26 ** WORDS.index(word) if word in WORDS else 150 + 80 * OTHER_WORDS.index(word)


def tone(hertz: float, seconds: float, generator: np.random.RandomState) -> np.ndarray:
    """A tone that begins somewhere in the clip, of some loudness, in a little noise."""
    n = int(seconds * RATE)
    sound = np.sin(2 * np.pi * hertz * (1 + 0.01 * generator.randn()) * np.arange(n) / RATE)
    sound[: generator.randint(0, RATE // 4)] = 0
    return np.asarray(0.1 + 0.6 * generator.rand()) * sound + 0.002 * generator.randn(n)


def write_clips(data_dir: Path, per_word: int = 6, in_test: int = 2) -> Path:
    """Write the clips where `load_dataset` finds them, and return their folder."""
    folder, generator, test = data_dir / FOLDER, np.random.RandomState(0), []
    for word in (*WORDS, *OTHER_WORDS):
        for number in range(per_word):
            # Some clips are shorter than a second, and some longer.
            write_wav(folder / word / f"{number}.wav", tone(frequency(word), 0.8 + 0.1 * (number % 4), generator))
        test += [f"{word}/{number}.wav" for number in range(in_test)]
    for name, seconds in (("hiss", 3.0), ("hum", 1.5)):
        write_wav(folder / NOISE / f"{name}.wav", generator.uniform(-0.3, 0.3, int(seconds * RATE)))
    (folder / NOISE / "README.md").write_text("Noises.")
    (folder / "validation_list.txt").write_text("yes/5.wav\n")
    (folder / TEST_LIST).write_text("\n".join(test) + "\n")
    return folder
