"""Log-mel spectrograms of clips of one second, as images of 32 x 32 pixels.

The settings are the defaults of librosa's `melspectrogram` and `power_to_db(ref=np.max)`, for 32 bands: Hann windows of
2048 samples at every 512th sample, Slaney's mel scale with filters of equal area, and 80 dB below the loudest point.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

RATE = 16_000  # samples per second, and per clip
N_BANDS, WINDOW, HOP = 32, 2048, 512
N_FRAMES = 1 + RATE // HOP
DECIBELS = 80.0  # from black to white
# Slaney's mel scale: proportional to the frequency up to 1000 Hz, then to its logarithm.
HERTZ_PER_MEL, MEL_OF_1000_HERTZ, LOG_STEP = 200 / 3, 15.0, np.log(6.4) / 27


def log_mel(clips: Array) -> Array:
    """Return the spectrograms of clips: 0 is 80 dB or more below the loudest point of a clip, which is 255.

    A clip without any sound is black.

    Shapes: clips (clips, 16000), samples; the result (clips, 32, 32), uint8: bands from low to high, and frames.

    Example:
        >>> import numpy as np
        >>> from dynsparse.data.mel_spectrogram import log_mel
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
        >>> image = log_mel(np.stack([tone, 0 * tone]))
        >>> image.shape, int(image[0, :, 16].argmax()), int(image[1].max())
        ((2, 32, 32), 4, 0)
    """
    images = np.empty((len(clips), N_BANDS, N_FRAMES), np.uint8)
    # Several clips at once would not fit into the cache of the CPU, and take five times as long.
    for image, clip in zip(images, clips, strict=True):
        image[:] = _log_mel(clip)
    return images


def _log_mel(clip: Array) -> Array:
    # Half a window of silence on both sides: the first frame is centred at the first sample.
    padded = np.pad(clip.astype(np.float64), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = mel_filters() @ np.abs(np.fft.rfft(frames * window)).T ** 2
    if power.max() == 0:
        return np.zeros((N_BANDS, N_FRAMES))
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(power / power.max())
    return np.asarray((level / DECIBELS + 1).clip(0, 1) * 255).round()


@cache
def mel_filters() -> Array:
    """Return triangular filters that overlap by half, each of area 1 over the frequency in Hz.

    Shapes: (32, 1025), for each band and frequency of a frame.

    Reference:
        Malcolm Slaney, Auditory Toolbox, Version 2, 1998,
        https://engineering.purdue.edu/~malcolm/interval/1998-010/
    """
    corners = mel_to_hertz(np.linspace(0, hertz_to_mel(np.array(RATE / 2)), N_BANDS + 2))
    frequency = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    low, centre, high = (corners[start : start + N_BANDS, None] for start in range(3))
    rise, fall = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    return np.asarray(np.minimum(rise, fall).clip(0) * 2 / (high - low))


def hertz_to_mel(frequency: Array) -> Array:
    """Return frequencies in Hz on Slaney's mel scale."""
    # Below 1000 Hz the logarithm is not used; its argument must be above 0 all the same.
    above = MEL_OF_1000_HERTZ + np.log(np.maximum(frequency, 1000) / 1000) / LOG_STEP
    return np.where(frequency < 1000, frequency / HERTZ_PER_MEL, above)


def mel_to_hertz(mel: Array) -> Array:
    """Return values of Slaney's mel scale as frequencies in Hz."""
    above = 1000 * np.exp(LOG_STEP * (mel - MEL_OF_1000_HERTZ))
    return np.where(mel < MEL_OF_1000_HERTZ, mel * HERTZ_PER_MEL, above)
