"""Which arrays of an episode are observations, and their one form: vectors and images."""

from collections.abc import Collection, Mapping

import numpy as np
from PIL import Image

from choreo.data.arrays import Array
from choreo.data.reading import ACTION, EXTRAS, RESERVED, BadEpisode, Draft, reason_by_name
from choreo.envs.rendering.images import looks_like_one
from choreo.schema import in_words

STACK = 3  # channels of the newest picture in a stack of frames
CHANNELS = (1, 3, 4)  # channels a picture may have [ours]
EXACT = 2**24  # whole numbers up to here are float32 [IEEE 754]
LOST = 0.01  # share of an array's range that a cast to float32 may change [ours]
NUMBERS = "biuf"  # kinds of dtype that hold real numbers


def choose(raw: Mapping[str, Array], declared: Collection[str], draft: Draft) -> tuple[str, ...]:
    """The observations asked for, or all that can be ones; the others are noted with a reason.

    What the files declare as an observation is taken for one whatever its name.
    """
    keys = draft.reading.keys
    if keys is None:
        _sort_out(raw, declared, draft)
        keys = draft.candidates
    missing = [name for name in keys if name not in raw]
    if missing or not keys:
        raise _not_there(raw, missing, draft)
    return keys


def _not_there(raw: Mapping[str, Array], missing: list[str], draft: Draft) -> BadEpisode:
    """Observations are not there: what is, why it was not taken, and how to take it."""
    others = {n: v for n, v in raw.items() if n not in RESERVED and np.ndim(v)}
    can_be = [n for n, v in others.items() if v.dtype.kind in NUMBERS and n not in missing]
    why = "".join(f"; '{name}' {reason}" for name, reason in draft.left_out.items())
    what = f"the observations {in_words(missing)}" if missing else "an observation"
    return draft.bad(
        f"{what} cannot be found in {in_words(sorted(raw))}{why}",
        f"Name others with --keys {' '.join(can_be[:3])}" if can_be else "Give data with some",
    )


def _sort_out(raw: Mapping[str, Array], declared: Collection[str], draft: Draft) -> None:
    """Fill in what may be an observation, and why the rest is none."""
    may_be = []
    for name, values in raw.items():
        if name in RESERVED or name in draft.reading.keep or name == "action_repeat":
            continue
        reason = _reason(name, values, name in declared)
        if reason is None and declared and name not in declared:
            reason = "stands beside the observations"
        if reason is None:
            may_be.append(name)
        else:
            draft.leave(name, reason)
    copies = draft.reading.copies
    if copies is None:
        copies = [n for n in may_be if n not in declared and _is_copy(raw[n], raw[ACTION])]
    for name in [name for name in may_be if name in copies]:
        may_be.remove(name)
        draft.leave(name, "holds the actions once more")
    draft.copies = tuple(copies)
    draft.candidates = tuple(may_be)


def _reason(name: str, values: Array, declared: bool) -> str | None:
    """Why an array is no observation, by its form and, where nobody declared it, by its name."""
    if np.ndim(values) == 0:
        return "one value per episode"
    if values.dtype.kind not in NUMBERS:
        return f"holds {values.dtype}, not numbers"
    if name in EXTRAS or not declared:
        return reason_by_name(name)
    return None


def _is_copy(values: Array, action: Array) -> bool:
    """Whether an array has the values of the actions, in either timing; constants tell nothing."""
    if np.ndim(action) == 0 or values.shape != action.shape or action.dtype.kind != "f":
        return False
    found, acted = np.asarray(values, np.float64), np.asarray(action, np.float64)
    if not (acted[1:] != acted[1:2]).any():
        return False
    pairs = ((found[1:], acted[1:]), (found[:-1], acted[1:]), (found[1:], acted[:-1]))
    return any(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def observation(values: Array, name: str, draft: Draft) -> np.ndarray:
    """A vector (T + 1, D) float32 or an image (T + 1, C, H, W) uint8."""
    if np.ndim(values) == 0:
        raise draft.bad(f"'{name}' is one value per episode", draft.without(name))
    array = np.asarray(values)
    shape = array.shape[1:]
    if array.dtype == np.uint8 and len(shape) == 2 and looks_like_one((*shape, 1)):
        array = array[:, None]  # a picture without colours
    elif len(shape) < 3 or not (array.dtype == np.uint8 or looks_like_one(shape)):
        return _vector(array, name, draft)
    if array.ndim != 4:
        raise draft.bad(
            f"'{name}' has shape {array.shape}; wanted vectors (T, D) or images (T, H, W, C)",
            draft.without(name),
        )
    return _image(array, name, draft)


def _vector(array: np.ndarray, name: str, draft: Draft) -> np.ndarray:
    """Numbers of any rank as (T, D)."""
    if 0 in array.shape:
        raise draft.bad(f"'{name}' holds no number per step", draft.without(name))
    if array.ndim > 2:
        draft.notes.append(f"'{name}' has shape {list(array.shape[1:])}: made one vector")
    return numbers(array, name, draft).reshape(len(array), -1)


def _image(array: np.ndarray, name: str, draft: Draft) -> np.ndarray:
    """Pictures (T, C, H, W) uint8, resized where that is asked for."""
    pixels = _newest(_channels_first(_bytes(array, name, draft), name, draft), name, draft)
    size = draft.reading.image_size
    if size is None or pixels.shape[-2:] == (size, size):
        return np.ascontiguousarray(pixels)
    draft.notes.append(f"'{name}' resized from {pixels.shape[-2]} x {pixels.shape[-1]} to {size}")
    return resized(pixels, size)


def _bytes(array: np.ndarray, name: str, draft: Draft) -> np.ndarray:
    """Pixels as uint8, after a look at their values where they are of another type."""
    if array.dtype == np.uint8:
        return array
    whole = array.dtype.kind in "iu" and array.size
    if whole and array.min() >= 0 and array.max() <= 255:
        draft.notes.append(f"'{name}' holds {array.dtype} from 0 to 255: read as uint8")
        return array.astype(np.uint8)
    raise draft.bad(
        f"the images '{name}' are {array.dtype}, from {_range(array)}; wanted uint8",
        f"Write them as whole numbers from 0 to 255. {draft.without(name)}",
    )


def _channels_first(values: np.ndarray, name: str, draft: Draft) -> np.ndarray:
    """Images (T, C, H, W) from either order of axes."""
    if 0 in values.shape:
        raise draft.bad(f"'{name}' has shape {values.shape}, which holds no pixel")
    if values.shape[1] < min(values.shape[2:]):
        return values
    if values.shape[3] < min(values.shape[1:3]):
        return values.transpose(0, 3, 1, 2)
    raise draft.bad(
        f"'{name}' has shape {values.shape}, where no axis can be the colours",
        f"Give images (T, H, W, 3) or (T, 3, H, W). {draft.without(name)}",
    )


def _newest(image: np.ndarray, name: str, draft: Draft) -> np.ndarray:
    """The last picture of a stack of frames, as recurrent models need no stack."""
    channels = image.shape[1]
    if channels in CHANNELS:
        return image
    if channels % STACK:
        raise draft.bad(f"the images '{name}' have {channels} channels", draft.without(name))
    draft.notes.append(
        f"'{name}' is a stack of {channels // STACK} frames; the last one of each was taken"
    )
    return image[:, -STACK:]


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images (T, C, H, W) uint8 as (T, C, size, size), each pixel the mean of those it covers."""
    planes = images.reshape(-1, *images.shape[2:])
    box = Image.Resampling.BOX
    small = [np.asarray(Image.fromarray(plane).resize((size, size), box)) for plane in planes]
    return np.stack(small).reshape(*images.shape[:2], size, size)


def numbers(values: Array, name: str, draft: Draft) -> np.ndarray:
    """A new float32 array, after a look at what the cast loses."""
    if values.dtype.kind not in NUMBERS:
        remedy = "Write numbers" if name in RESERVED else draft.without(name)
        raise draft.bad(f"'{name}' holds {values.dtype}; wanted numbers", remedy)
    own = np.asarray(values)
    with np.errstate(over="ignore"):
        cast = np.array(own, np.float32)
    if own.dtype.itemsize > 2 and own.dtype != np.float32 and own.size:
        _check_cast(own, cast, name, draft)
    return cast


def _check_cast(own: np.ndarray, cast: np.ndarray, name: str, draft: Draft) -> None:
    """Refuse numbers so large that float32 no longer tells them apart, such as absolute times."""
    with np.errstate(all="ignore"):
        wide = own.astype(np.float64).reshape(len(own), -1)
        span = wide.max(0) - wide.min(0)
        off = np.abs(wide - cast.astype(np.float64).reshape(wide.shape)).max(0)
        lost = (off > LOST * span) & (span > 0) & (np.abs(wide).max(0) > EXACT) & np.isfinite(off)
    if lost.any():
        raise draft.bad(
            f"'{name}' holds {own.dtype} from {_range(own)}, which float32 cannot tell apart",
            f"Subtract what all of them have in common. {draft.without(name)}",
        )


def _range(values: np.ndarray) -> str:
    if not values.size or values.dtype.kind not in NUMBERS:
        return "no numbers"
    return f"{values.min():.7g} to {values.max():.7g}"
