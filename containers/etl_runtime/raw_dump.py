"""The raw dump that a transform reads: its manifest, its table of contents, and its files by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.data_file import DataFileReader, stem
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile, Manifest, read_manifest, sha256
from etl_runtime.objects import Bucket
from etl_runtime.segments import of_bounded_rows
from etl_runtime.toc import TOC_NAME, Toc, TocEntry, read_toc


@dataclass(frozen=True, slots=True)
class RawDump:
    """A dump whose manifest and table of contents agree. Data is fetched only when asked for."""

    bucket: Bucket
    prefix: DumpPrefix
    manifest: Manifest
    manifest_sha256: str
    toc: Toc
    toc_bytes: bytes

    @classmethod
    def open(cls, bucket: Bucket, prefix: DumpPrefix, version_id: str) -> RawDump:
        """Read the manifest (that very version) and toc.dat, and hold each against the other.

        Raises:
            Fault: NO_INPUT when there is no such manifest; DATA when files and table of contents differ.
        """
        found = bucket.read(prefix.manifest_key, version_id)
        if found is None:
            raise Fault(ExitCode.NO_INPUT, f"there is no dump {prefix} in {bucket.name}: it has no manifest")
        manifest = read_manifest(found[0], prefix, "raw")
        listed = manifest.file(TOC_NAME)
        content = b"".join(bucket.chunks(prefix.key(TOC_NAME), listed.version_id, listed.sha256))
        toc = read_toc(content)
        dump = cls(bucket, prefix, manifest, sha256(found[0]), toc, content)
        dump.check_files()
        return dump

    def check_files(self) -> None:
        """Every file that toc.dat names is listed, and nothing else but parts of large objects.

        Raises:
            Fault: DATA, naming the first file at fault.
        """
        wanted = {entry.filename for entry in self.toc.entries if entry.filename}
        listed = [file.name for file in self.manifest.files if file.name != TOC_NAME]
        stems = [stem(name) for name in listed]
        if missing := sorted(wanted - set(stems)):
            raise Fault(ExitCode.DATA, f"manifest of {self.prefix} lacks {missing[0]}, which {TOC_NAME} names")
        for name, bare in zip(listed, stems, strict=True):
            if bare not in wanted and not bare.startswith("blob_"):
                raise Fault(ExitCode.DATA, f"manifest of {self.prefix} lists {name}, which {TOC_NAME} does not name")
        if len(set(stems)) != len(stems):
            raise Fault(ExitCode.DATA, f"manifest of {self.prefix} lists a file twice, in two compressions")

    def file_of(self, entry: TocEntry) -> ArchiveFile:
        """The file of an entry that has data."""
        for file in self.manifest.files:
            if stem(file.name) == entry.filename:
                return file
        raise Fault(ExitCode.DATA, f"manifest of {self.prefix} lacks the file of {entry.description} {entry.tag}")

    def chunks(self, file: ArchiveFile) -> Iterator[bytes]:
        """A file's bytes as stored; its SHA-256 is checked after the last."""
        return self.bucket.chunks(self.prefix.key(file.name), file.version_id, file.sha256)

    def rows(self, file: ArchiveFile, count: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
        """A table file's COPY text, without its end mark.

        Args:
            file: Of the manifest.
            count: Told the bytes as stored of each chunk, as it comes.

        Raises:
            Fault: DATA when it is damaged, a row is too long, or their number is not the manifest's; what came must not
                be used.
        """
        reader = DataFileReader(file.name, counted(self.chunks(file), count))
        for text in of_bounded_rows(reader, f"{file.table}: {file.name}"):
            if reader.rows > (file.rows or 0):
                # A few bytes can be any number of rows when decompressed: those would fill the disk first.
                raise Fault(ExitCode.DATA, f"{file.name} has more rows than its manifest says, {file.rows}")
            yield text
        if reader.facts.rows != file.rows:
            raise Fault(ExitCode.DATA, f"{file.name} has {reader.facts.rows} rows and its manifest says {file.rows}")

    def download(self, file: ArchiveFile, directory: Path) -> None:
        """Fetch a file into a directory, whole and as its manifest says."""
        self.bucket.download(self.prefix.key(file.name), file.version_id, file.sha256, directory / file.name)


def counted(chunks: Iterable[bytes], count: Callable[[int], None]) -> Iterator[bytes]:
    """The chunks, and each one's size told."""
    for chunk in chunks:
        count(len(chunk))
        yield chunk
