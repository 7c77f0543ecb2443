"""The comparison as one page that needs nothing else: tables and pictures, for a phone as well."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

from bertslim.runtime.columns import Column, Room, columns, size_of
from bertslim.runtime.exhibits import Exhibit, exhibits
from bertslim.runtime.picture.style import short
from bertslim.runtime.rows import Comparison, Row
from bertslim.runtime.table import notes, why_untimed

MOST_NAMED = 3
"""Checkpoints in the title."""
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
{notes}
</header>
{tables}
{pictures}
{legend}
</main>
</body>
</html>
"""


def comparison_page(comparison: Comparison) -> str:
    """Write the page; all that came from outside is escaped."""
    shown = columns(comparison.rows, Room.PAGE)
    return PAGE.format(
        title=escape(_title(comparison)),
        style=files("bertslim.runtime").joinpath("page.css").read_text(encoding="utf-8"),
        notes="\n".join(f'<p class="quiet">{escape(line)}</p>' for line in _notes(comparison)),
        tables="\n".join(_tables(comparison.rows, shown)),
        pictures=_pictures(exhibits(comparison)),
        legend=_legend(shown),
    )


def _title(comparison: Comparison) -> str:
    rows = comparison.rows
    names = [short(name, rows) for name in dict.fromkeys(row.checkpoint for row in rows)]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"Bench: {', '.join(names[:MOST_NAMED])}{more}"


def _notes(comparison: Comparison) -> Iterator[str]:
    yield f"measured by bertslim bench, {comparison.created[:16].replace('T', ' ')} UTC"
    yield from notes(comparison)


def _tables(rows: Sequence[Row], shown: Sequence[Column]) -> Iterator[str]:
    titles = "".join(
        f'<th scope="col" title="{escape(column.meaning)}">{escape(column.title)}</th>'
        for column in shown
    )
    for shape, of_shape in groupby(rows, lambda row: row.shape):
        bodies = "\n".join(_bodies(list(of_shape), shown))
        yield f"<section>\n<h2>Batch {escape(str(shape))}</h2>"
        # a box that scrolls is reached by the keyboard
        yield f'<div class="scroll" tabindex="0" role="region" aria-label="batch {shape}"><table>'
        yield f'<thead><tr><th scope="col">engine</th>{titles}</tr></thead>'
        yield f"{bodies}\n</table></div>\n</section>"


def _bodies(rows: Sequence[Row], shown: Sequence[Column]) -> Iterator[str]:
    """A block for each checkpoint: its name and size, then its engines."""
    for checkpoint, engines in groupby(rows, lambda row: row.checkpoint):
        of_checkpoint = list(engines)
        about = f"<b>{escape(checkpoint)}</b> {escape(size_of(of_checkpoint[0]))}"
        head = f'<th scope="rowgroup" colspan="{len(shown) + 1}"><div>{about}</div></th>'
        lines = "\n".join(f"<tr>{_cells(row, shown)}</tr>" for row in of_checkpoint)
        yield f'<tbody>\n<tr class="checkpoint">{head}</tr>\n{lines}\n</tbody>'


def _cells(row: Row, shown: Sequence[Column]) -> str:
    engine = f'<th scope="row">{escape(f"{row.runtime} {row.precision}")}</th>'
    if row.latency is None:
        reason = escape(why_untimed(row))
        return f'{engine}<td class="reason" colspan="{len(shown)}"><div>{reason}</div></td>'
    cells = (column.cell(row, row.latency) for column in shown)
    return engine + "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def _pictures(shown: Sequence[Exhibit]) -> str:
    if not shown:
        return ""
    drawn = "\n".join(
        f"<figure>\n<figcaption>{escape(exhibit.title)}</figcaption>\n{exhibit.svg}\n</figure>"
        for exhibit in shown
    )
    return f'<section>\n<h2>Pictures</h2>\n<div class="pictures">\n{drawn}\n</div>\n</section>'


def _legend(shown: Sequence[Column]) -> str:
    meanings = "\n".join(
        f"<dt>{escape(column.title)}</dt><dd>{escape(column.meaning)}</dd>" for column in shown
    )
    return f"<section>\n<h2>Columns</h2>\n<dl>\n{meanings}\n</dl>\n</section>"
