"""How the command line shows things to a person: columns, sizes, durations, and nothing that a terminal would obey."""

from collections.abc import Callable, Mapping, Sequence

Format = Callable[[object], str]


def size(number: int | None) -> str:
    """Bytes, in the largest unit that leaves a number of at least one; a dash for none."""
    if number is None:
        return "-"
    scaled, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.0f} {unit}" if unit == "bytes" or scaled >= 99.95 else f"{scaled:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """Seconds as ms, s, min and s, or h and min; a dash for none."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def moment(date: str | None) -> str:
    """A UTC date to the minute; a dash for none."""
    return date[:16].replace("T", " ") if date else "-"


def start(key: object) -> str:
    """As much of a key as tells it from others."""
    return str(key)[:12]


def visible(text: object) -> str:
    """Text with what a terminal would obey spelled out: labels and paths may hold anything."""
    return "".join(c if c.isprintable() else f"<{ord(c):02X}>" for c in str(text))


def lines(rows: Sequence[Mapping[str, object]], columns: Mapping[str, tuple[str, Format]]) -> list[str]:
    """A table: {heading: (field, how to show it)} of some rows; sizes and durations are aligned to the right."""
    cells = [[visible(show(row[field])) for field, show in columns.values()] for row in rows]
    right = [show in (size, duration) for _, show in columns.values()]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    every = [list(columns), ["-" * width for width in widths], *cells]
    aligned = [
        [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        for line in every
    ]
    return ["  ".join(line).rstrip() for line in aligned]
