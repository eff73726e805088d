"""The least that any cleaning of files must do: decompress and compress them again, two files at a time.

python bench/transform_floor.py ours|zlib OUTPUT_DIRECTORY FILE...
"""

from __future__ import annotations

import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from etl_runtime.archive_upload import file_chunks
from etl_runtime.data_file import codec_of, compressor, decompressed

PROCESSES = 2


def again(directory: Path, path: Path) -> None:
    """Write the same file, compressed anew."""
    codec = compressor(codec_of(path.name))
    with (directory / path.name).open("wb") as file:
        for plain in decompressed(path.name, file_chunks(path)):
            file.write(codec.compress(plain))
        file.write(codec.flush())


def again_by_zlib(directory: Path, path: Path) -> None:
    """The same for gzip, member by member, by the library that Postgres and Python have."""
    codec = zlib.compressobj(level=1, wbits=31)
    reader = zlib.decompressobj(wbits=31)
    with (directory / path.name).open("wb") as file:
        for chunk in file_chunks(path):
            left = chunk
            while left:
                file.write(codec.compress(reader.decompress(left)))
                left = reader.unused_data
                if reader.eof:
                    reader = zlib.decompressobj(wbits=31)
        file.write(codec.flush())


def main() -> None:
    """Do all files, the largest first."""
    work = {"ours": again, "zlib": again_by_zlib}[sys.argv[1]]
    directory, *paths = map(Path, sys.argv[2:])
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(partial(work, directory), sorted(paths, key=lambda path: -path.stat().st_size)))


if __name__ == "__main__":
    main()
