"""Speech Commands: spectrograms against scipy and worked examples; the layout of the files; what is refused."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
from support.doctests import run_examples
from support.speech_clips import OTHER_WORDS, frequency, tone, write_clips, write_wav

from dynsparse.config import Config
from dynsparse.data import DATASETS, load_dataset, speech_commands
from dynsparse.data.datasets import _load
from dynsparse.data.download import DataError
from dynsparse.data.mel_spectrogram import hertz_to_mel, log_mel, mel_filters, mel_to_hertz
from dynsparse.data.speech_commands import ARCHIVE, CLASSES, FOLDER, NOISE, TEST_LIST, WORDS, read_speech_commands
from dynsparse.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

# Spectrograms


def test_the_mel_scale_is_that_of_slaney() -> None:
    # The first ones are the examples in the documentation of librosa; 1000 Hz are 15 mel, 6400 Hz 27 more.
    hertz, mel = np.array([60, 110, 220, 440, 1000, 6400]), np.array([0.9, 1.65, 3.3, 6.6, 15, 42])
    np.testing.assert_allclose(hertz_to_mel(hertz), mel)
    np.testing.assert_allclose(mel_to_hertz(mel), hertz)


def test_filters_are_triangles_of_equal_area() -> None:
    filters, frequency = mel_filters(), np.arange(1025) * 7.8125
    assert filters.shape == (32, 1025)
    # 8000 Hz are 15 + 27 log(8) / log(6.4) mel. Up to 1000 Hz, the corners are 1/33 of them apart.
    apart = (15 + 27 * np.log(8) / np.log(6.4)) / 33 * 200 / 3
    low, centre, high = 3 * apart, 4 * apart, 5 * apart
    for place in (30, 35, 40, 47, 55, 58):
        f = frequency[place]
        height = (f - low) / apart if f <= centre else (high - f) / apart
        assert filters[3, place] == pytest.approx(max(height, 0) / apart)
    # Filters are sampled at 7.8 Hz, and the lowest is 183 Hz wide.
    np.testing.assert_allclose(filters.sum(1) * 7.8125, 1, atol=0.01)
    # Only neighbours overlap, and their heights add up to 1 between the centres of the first and the last filter.
    assert ((filters > 0).sum(0) <= 2).all()
    heights = filters[:9] * apart
    between = (frequency >= apart) & (frequency <= 9 * apart)
    np.testing.assert_allclose(heights.sum(0)[between], 1)


def test_spectrograms_are_those_of_scipy() -> None:
    generator = np.random.RandomState(3)
    clips = np.stack([tone(700, 1, generator), generator.randn(16_000), np.zeros(16_000)])
    clips[0, 9000:] = 0
    images = log_mel(clips)
    assert images.shape == (3, 32, 32) and images.dtype == np.uint8
    _, _, transformed = scipy.signal.stft(clips[:2], nperseg=2048, noverlap=1536, boundary="zeros", padded=False)
    for image, spectrum in zip(images, transformed, strict=False):
        assert spectrum.shape == (1025, 32)
        power = mel_filters() @ np.abs(spectrum) ** 2
        decibels = 10 * np.log10(np.maximum(power / power.max(), 1e-30))
        np.testing.assert_allclose(image, np.clip(255 * (1 + decibels / 80), 0, 255), atol=0.51)
    assert images[0].max() == 255 and images[0, :, -1].max() == 0 and images[2].max() == 0


def test_volume_does_not_count_and_a_tone_is_in_its_band() -> None:
    clip = np.sin(2 * np.pi * 2500 * np.arange(16_000) / 16_000)
    loud, soft = log_mel(np.stack([clip, clip / 50]))
    np.testing.assert_array_equal(loud, soft)
    corners = mel_to_hertz(np.linspace(0, float(hertz_to_mel(np.array(8000))), 34))
    band = int(loud[:, 16].argmax())
    assert corners[band] < 2500 < corners[band + 2] and abs(corners[band + 1] - 2500) == abs(corners[1:-1] - 2500).min()
    run_examples(log_mel)


# Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clips(tmp_path)


def test_parts_and_classes_are_those_of_the_folders_and_the_list(folder: Path, tmp_path: Path) -> None:
    train_x, train_y, test_x, test_y = read_speech_commands(tmp_path, False)
    # 4 of 6 clips of each word are for training. A tenth of the 40, and of the 20, is 4 and 2.
    assert np.bincount(train_y).tolist() == [4] * 12 and np.bincount(test_y).tolist() == [2] * 12
    assert train_x.shape == (48, 32, 32) and test_x.shape == (24, 32, 32) and CLASSES[10:] == ("unknown", "silence")
    # The loudest band of a word is that of its tone.
    corners = mel_to_hertz(np.linspace(0, float(hertz_to_mel(np.array(8000))), 34))
    for image, label in zip(train_x, train_y, strict=True):
        band = int(image.max(1).argmax())
        tones = [frequency(CLASSES[label])] if label < 10 else [frequency(word) for word in OTHER_WORDS]
        assert label == 11 or any(corners[band] * 0.97 < each < corners[band + 2] * 1.03 for each in tones)
    first = speech_commands._samples("", (folder / "yes" / "0.wav").read_bytes())
    assert len(first) == 12_800
    np.testing.assert_array_equal(test_x[list(test_y).index(0)], log_mel(np.pad(first, (0, 3200))[None])[0])
    # Silence is different each time, and each draw of it and of other words is the same.
    assert len({each.tobytes() for each in [*train_x[train_y == 11], *test_x[test_y == 11]]}) == 6
    for mine, other in zip(read_speech_commands(tmp_path, False), (train_x, train_y, test_x, test_y), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_the_archive_has_the_data_of_the_folder(folder: Path, tmp_path: Path) -> None:
    expected = load_dataset("SpeechCommands", str(tmp_path))
    assert expected.train.pixels.shape == (48, 1024) and expected.num_classes == 12
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        archive.add(folder, ".")
    shutil.rmtree(tmp_path / "SpeechCommands")
    _load.cache_clear()
    found = load_dataset("SpeechCommands", str(tmp_path))
    np.testing.assert_array_equal(found.train.pixels, expected.train.pixels)
    np.testing.assert_array_equal(found.test.pixels, expected.test.pixels)
    assert found.train_y.tolist() == expected.train_y.tolist()


def test_the_archive_is_downloaded_and_checked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "served.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")
    content = (tmp_path / "served.tar.gz").read_bytes()
    monkeypatch.setattr(speech_commands, "URL", (tmp_path / "served.tar.gz").as_uri())
    with pytest.raises(DataError, match=r"SpeechCommands is missing in .*/empty and cannot be downloaded .*must have"):
        load_dataset("SpeechCommands", str(tmp_path / "empty"))
    assert not (tmp_path / "empty").exists()
    monkeypatch.setattr(speech_commands, "SHA256", speech_commands.hashlib.sha256(content).hexdigest())
    assert len(load_dataset("SpeechCommands", str(tmp_path / "empty")).train_y) == 48
    assert [path.name for path in (tmp_path / "empty").iterdir() if path.suffix != ".lock"] == [ARCHIVE]


def test_spectrograms_are_cached_until_a_clip_is_added(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_dataset("SpeechCommands", str(tmp_path))
    _load.cache_clear()
    read: list[Path] = []
    source = DATASETS["SpeechCommands"]

    def counted(folder: Path, download: bool) -> Any:
        read.append(folder)
        return read_speech_commands(folder, download)

    monkeypatch.setitem(DATASETS, "SpeechCommands", type(source)(**{**vars(source), "read": counted}))
    assert len(load_dataset("SpeechCommands", str(tmp_path)).train_y) == 48 and not read
    shutil.copy(folder / "go" / "3.wav", folder / "go" / "new.wav")
    _load.cache_clear()
    assert len(load_dataset("SpeechCommands", str(tmp_path)).train_y) == 49 and len(read) == 1


def test_a_network_learns_to_tell_tones_apart(tmp_path: Path) -> None:
    write_clips(tmp_path, per_word=10)
    trainer = Trainer([Config(
        dataset_name="SpeechCommands", data_dir=str(tmp_path), network="SpeechCNN", model="SET", on_perc=0.2,
        epochs=6, batch_size=16, learning_rate=0.02, test_noise=False,
    )])  # fmt: skip
    while not trainer.is_done:
        [row] = trainer.step()
    assert row is not None and row["val_acc"] > 0.8


# What is refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("yes/1.wav", b"no sound", "yes/1.wav must be a WAV file, and cannot be read: file does not start with RIFF "
         "id"),
        ("yes/1.wav", b"", "yes/1.wav must be a WAV file, and cannot be read: it is cut short"),
        ("yes/1.wav", None, "yes/1.wav must have 14400 samples, got 14300: it is cut short"),
        ("stop/4.wav", {"rate": 8000}, "stop/4.wav must have 1 channel of 16 bits with 16000 samples per second, got "
         "1 of 16 bits with 8000"),
        (f"{NOISE}/hum.wav", {"channels": 2}, f"{NOISE}/hum.wav must have 1 channel of 16 bits with 16000 samples per "
         "second, got 2 of 16 bits with 16000"),
    ],
)  # fmt: skip
def test_clips_that_cannot_be_read(name: str, content: Any, message: str, folder: Path, tmp_path: Path) -> None:
    if isinstance(content, dict):
        write_wav(folder / name, np.zeros(16_000), **content)
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-200] if content is None else content)
    with pytest.raises(DataError) as error:
        load_dataset("SpeechCommands", str(tmp_path))
    assert str(error.value) == (
        f"SpeechCommands in {tmp_path} cannot be read, its files may be damaged (ValueError: {message}). Replace these "
        f"files, or delete them to download them again: {FOLDER}."
    )


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (["left", NOISE, TEST_LIST], f"{NOISE} and {TEST_LIST}; missing: {NOISE}, left, {TEST_LIST})"),
        (["cat", "bed"], "the training part must have clips of the ten words, and a tenth as many of others, got 40"),
    ],
)
def test_folders_without_a_part(removed: list[str], message: str, folder: Path, tmp_path: Path) -> None:
    for name in removed:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    with pytest.raises(DataError) as error:
        load_dataset("SpeechCommands", str(tmp_path))
    assert message in str(error.value) and len(WORDS) == 10
