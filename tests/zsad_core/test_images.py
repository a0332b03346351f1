"""Decoding against the EXIF definition, exact colour values and a brute-force resize; every kind of broken bytes."""

import contextlib
import io
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tests.pictures import encoded
from zsad_core import images
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, decode_image, decode_mask, encode_mask, mask_pixels
from zsad_core.tiling import Tiling, tile_pixels

RNG = np.random.default_rng(7)
PHOTO = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def decoded(content):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = decode_image(content)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey_rgb(values):
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=2)


def test_rgb_comes_back_as_it_was():
    for kind in ("PNG", "BMP", "TIFF"):
        assert (decoded(encoded(PHOTO, kind)) == PHOTO).all()


def test_grey_alpha_and_one_bit():
    grey, alpha = PHOTO[..., 0], PHOTO[..., 1]
    assert (decoded(encoded(grey)) == grey_rgb(grey)).all()
    assert (
        decoded(encoded(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]))) == grey_rgb(grey)
    ).all()
    assert (decoded(encoded(np.dstack([PHOTO, alpha]))) == PHOTO).all()  # alpha is dropped, not blended
    bits = grey > 99
    assert (decoded(encoded(Image.fromarray(bits))) == grey_rgb(bits * 255)).all()


def test_palette_with_and_without_transparency():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    colours = [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert decoded(encoded(image)).tolist() == colours
    assert decoded(encoded(image, transparency=b"\x00\x80\xff")).tolist() == colours


def test_cmyk_is_ink_not_light():
    inks = np.array([[[0, 255, 255, 0], [255, 0, 255, 0], [0, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)
    content = encoded(Image.fromarray(inks, "CMYK"), "TIFF")
    assert decoded(content).tolist() == [[[255, 0, 0], [0, 255, 0], [255, 255, 255], [0, 0, 0]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    values = np.array([[0, 128, 129, 257, 32768, 65278, 65535]], np.uint16)
    expected = [[round(int(value) / 257) for value in values[0]]]
    assert (decoded(encoded(values, kind)) == grey_rgb(expected)).all()


def test_32_bit_integers_and_floats_with_a_known_range():
    assert (decoded(encoded(np.array([[0, 257, 65535]], np.int32), "TIFF")) == grey_rgb([[0, 1, 255]])).all()
    assert (decoded(encoded(np.array([[0.0, 0.2, 1.0]], np.float32), "TIFF")) == grey_rgb([[0, 51, 255]])).all()
    assert (decoded(encoded(np.array([[0.0, 51.0, 254.6]], np.float32), "TIFF")) == grey_rgb([[0, 51, 255]])).all()


@pytest.mark.parametrize("values", [[[-1.0, 1.0]], [[0.0, 256.0]], [[0.0, np.nan]], [[0, 65536]], [[-1, 5]]])
def test_pixels_without_a_known_range_are_refused(values):
    dtype = np.int32 if isinstance(values[0][0], int) else np.float32
    with pytest.raises(ImageError, match="can be read"):
        decode_image(encoded(np.array(values, dtype), "TIFF"))


def upright(stored, orientation):
    """By EXIF's definition: on which side of the upright picture row 0 and column 0 of the stored one lie."""
    row0, column0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    height, width = stored.shape[:2] if orientation <= 4 else stored.shape[1::-1]
    picture = np.zeros((height, width, 3), np.uint8)
    for r in range(stored.shape[0]):
        for c in range(stored.shape[1]):
            at = {row0: r, column0: c}
            down = at["top"] if "top" in at else height - 1 - at["bottom"]
            across = at["left"] if "left" in at else width - 1 - at["right"]
            picture[down, across] = stored[r, c]
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(PHOTO, np.ones((16, 16, 1), np.uint8))  # JPEG keeps flat blocks
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    found = decoded(encoded(blocks, kind, exif=exif, **options))
    expected = upright(blocks, orientation)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (4 if kind == "JPEG" else 0)


def test_a_damaged_exif_block_does_not_cost_the_image():
    content = encoded(PHOTO, "PNG", exif=b"Exif\x00\x00no such header")
    assert (decoded(content) == PHOTO).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_truncated_images_are_refused(kind):
    content = encoded(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), kind)
    for length in (len(content) // 2, len(content) * 9 // 10):
        with pytest.raises(ImageError):
            decode_image(content[:length])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_reasons_are_short_and_say_what_is_wrong():
    photo = encoded(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), "JPEG")
    for content, reason in [
        (b"", "empty"),
        (b"id,label\n1,0\n", "not an image"),
        (photo[: len(photo) // 2], "truncated"),
    ]:
        with pytest.raises(ZsadError, match=reason) as caught:
            decode_image(content)
        assert len(str(caught.value)) < 100


def test_programs_that_pil_would_start_are_not_images():
    with pytest.raises(ImageError, match="not an image"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def test_pixel_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    assert decoded(encoded(PHOTO)).shape == PHOTO.shape  # above the limit PIL warns: nobody is told
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ImageError, match="too many pixels"):
        decode_image(encoded(PHOTO))


@given(st.data())
def test_broken_bytes_give_an_image_or_an_image_error(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"]))
    content = bytearray(encoded(PHOTO, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        assert decode_image(bytes(content)).mode == "RGB"


def cubic(t):
    t = abs(t)
    return 1.5 * t**3 - 2.5 * t**2 + 1 if t < 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def triangle(t):
    return max(0.0, 1 - abs(t))


def resize_matrix(kernel, reach, before, after):
    """Weights (after, before) of a resize whose kernel widens with the reduction."""
    scale = before / after
    widening = max(scale, 1.0)
    weights = np.zeros((after, before))
    for row in range(after):
        centre = (row + 0.5) * scale
        for column in range(before):
            if abs(column + 0.5 - centre) < reach * widening:
                weights[row, column] = kernel((column + 0.5 - centre) / widening)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("shape", [(40, 25), (9, 14)])
def test_pixels_are_a_bicubic_square(shape):
    photo = RNG.integers(80, 176, (*shape, 3), dtype=np.uint8)  # nothing is clipped between PIL's two passes
    (found,) = tile_pixels(decode_image(encoded(photo)), Tiling.whole(17), 17)
    down, across = (resize_matrix(cubic, 2, length, 17) for length in shape)
    expected = np.einsum("ij,lk,jkc->ilc", down, across, photo)
    assert found.dtype == np.uint8 and found.shape == (17, 17, 3)
    assert np.abs(found - expected).max() <= 1.2  # PIL rounds after each pass


@pytest.mark.parametrize("shape", [(40, 25), (9, 14), (17, 17)])
def test_mask_pixels_are_a_bilinear_square_cut_at_half(shape):
    mask = RNG.uniform(size=shape) < 0.5
    found = mask_pixels(encode_mask(mask), 17)
    down, across = (resize_matrix(triangle, 1, length, 17) for length in shape)
    share = down @ mask @ across.T
    clear = np.abs(share - 0.5) > 2 / 255  # PIL rounds to 8 bits on the way
    assert found.dtype == bool and found.shape == (17, 17)
    assert (found == (share > 0.5))[clear].all() and clear.mean() > 0.8


def test_mask_is_above_its_threshold():
    content = encoded(np.array([[0, 1, 128, 129, 255]], np.uint8))
    assert decode_mask(content, 128).tolist() == [[False, False, False, True, True]]
    assert decode_mask(content, 0).tolist() == [[False, True, True, True, True]]


def test_masks_in_other_modes():
    assert decode_mask(encoded(np.array([[0, 65535]], np.uint16)), 128).tolist() == [[False, True]]
    assert decode_mask(encoded(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)), 128).tolist() == [[False, True]]
    with pytest.raises(ImageError, match="empty"):
        decode_mask(b"", 0)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_encoded_masks_are_1_bit_and_come_back(height, width, seed):
    mask = np.random.default_rng(seed).uniform(size=(height, width)) < 0.5
    content = encode_mask(mask)
    assert Image.open(io.BytesIO(content)).mode == "1"
    assert (decode_mask(content, 0) == mask).all() and (decode_mask(content, 128) == mask).all()


@pytest.mark.parametrize(
    ("kind", "options", "bytes_a_pixel"),
    [
        ("PNG", {}, 8),
        ("TIFF", {}, 8),
        ("JPEG", {}, 8),
        ("JPEG", {"progressive": True}, 10),
        ("WEBP", {}, 20),
        ("JPEG2000", {}, 24),
    ],
)
def test_the_limit_is_of_memory(monkeypatch, kind, options, bytes_a_pixel):
    content = encoded(PHOTO, kind, **options)
    monkeypatch.setattr(images, "MAX_BYTES", bytes_a_pixel * 9 * 6)
    assert decoded(content).shape == PHOTO.shape
    monkeypatch.setattr(images, "MAX_BYTES", bytes_a_pixel * 9 * 6 - 1)
    with pytest.raises(ImageError, match=r"too many pixels \(9 x 6; at most 53\): cut or reduce it"):
        decode_image(content)


def png_of_size(width, height):
    """A header that claims a size, and no pixels."""
    head = b"IHDR" + struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">L", 13) + head + struct.pack(">L", zlib.crc32(head)) + b"\0\0\0\x09IDAT"


def test_sizes_are_refused_by_the_header_alone():
    with pytest.raises(ImageError, match="truncated"):  # 100 million pixels are no reason
        decode_image(png_of_size(12_500, 8_000))
    for size in [(12_500, 11_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)]:
        with pytest.raises(ImageError, match="too many pixels"):
            decode_image(png_of_size(*size))
    with pytest.raises(ImageError, match=r"too long \(10 x 140000; at most 131,072 pixels a side\)"):
        mask_pixels(png_of_size(10, 140_000), 4)


def tiff(entries, data):
    """A TIFF file of one directory of numbers (tag, value) and some data; `data` as a value is where that begins."""
    start = 8 + 2 + 12 * len(entries) + 4
    found = [(tag, start if value is data else value) for tag, value in sorted(entries.items())]
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in found)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + directory + bytes(4) + data


def test_a_tile_that_is_larger_than_its_image():
    data = zlib.compress(bytes(64 * 64))
    sizes = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: 64, 323: 64, 324: data, 325: len(data)}
    assert decoded(tiff(sizes, data)).shape == (8, 8, 3)
    with pytest.raises(ImageError, match=r"tiles of too many pixels \(65536 x 65536\)"):
        decode_image(tiff(sizes | {322: 65536, 323: 65536}, data))


def peak(content):
    """The most Python memory that refusing an image takes."""
    tracemalloc.start()
    with pytest.raises(ImageError):
        decode_image(content)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


@pytest.mark.skipif(tuple(map(int, Image.__version__.split(".")[:2])) < (12, 3), reason="older PIL reads it all")
def test_tags_that_all_hold_the_whole_file():
    content = b"II*\0" + struct.pack("<LH", 8, 5000)
    content += b"".join(struct.pack("<HHLL", tag, 1, 60_000, 8) for tag in range(400, 5400)) + bytes(4)
    assert peak(content) < 2**25


@pytest.mark.parametrize("chunk", [b"zTXt" + b"k\0\0", b"iTXt" + b"k\0\1\0\0\0", b"iCCP" + b"k\0\0"])
def test_texts_that_inflate(chunk):
    chunk += zlib.compress(bytes(2**26))
    photo = encoded(PHOTO)
    packed = struct.pack(">L", len(chunk) - 4) + chunk + struct.pack(">L", zlib.crc32(chunk))
    assert peak(photo[:33] + packed + photo[33:]) < 2**24


def test_a_size_that_the_codestream_does_not_have():
    content = encoded(np.zeros((64, 64, 3), np.uint8), "JPEG2000")
    place = content.index(b"ihdr") + 4
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(content[:place] + struct.pack(">LL", 16, 16) + content[place + 8 :])


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_of_many_frames_the_first_is_the_image(kind):
    frames = [Image.new("RGB", (9, 6), colour) for colour in ("red", "blue", "black")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:] * 50)
    assert np.abs(decoded(content).astype(int) - [255, 0, 0]).max() <= 8


def test_wide_values_are_scaled_few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(images, "_STRIP", 10)
    values = RNG.integers(0, 65536, (11, 5)).astype(np.uint16)
    assert (decoded(encoded(values)) == grey_rgb(np.rint(values / 257))).all()
    assert (decoded(encoded(values.astype(np.int32), "TIFF")) == grey_rgb(np.rint(values / 257))).all()
    shares = (values / 65535).astype(np.float32)
    assert (decoded(encoded(shares, "TIFF")) == grey_rgb(np.rint(shares * 255))).all()
    shares[10, 4] = np.nan
    with pytest.raises(ImageError, match="from nan to nan"):
        decode_image(encoded(shares, "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_memory_of_decoding_and_turning(tmp_path, mode):
    exif, side = Image.Exif(), 4096
    exif[0x0112] = 6
    Image.new(mode, (side, side)).save(tmp_path / "a.png", exif=exif, compress_level=1)
    code = (
        "import resource, sys; from zsad_core.images import decode_image; content = open(sys.argv[1], 'rb').read()\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = used(); decode_image(content).resize((32, 32)); print(used() - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert taken < 8.5 * side**2 + 2**25


def test_reasons_of_decoders_are_one_short_line():
    with pytest.raises(ImageError) as caught:
        decode_image(b"P6 " + b"1" * 1_000_000)
    assert len(str(caught.value)) < 150 and "\n" not in str(caught.value)
