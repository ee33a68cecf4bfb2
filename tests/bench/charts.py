"""Charts by gnuplot, as small SVG files.  A chart is (file name, what gnuplot is told)."""

import shutil
import statistics
import subprocess

from report import short

HEAD = """set terminal svg size 760,{height} font 'sans-serif,12' background '#ffffff'
set label "{title}" at screen 0.02, screen {top} left font ',14'
set tmargin 3
set border 3 lc rgb '#888888'
set grid {grid} lc rgb '#dddddd' lt 1
set tics nomirror textcolor rgb '#333333'
"""
COLOURS = ("#1f6f8b", "#d9822b", "#7a5195", "#4c9a52")


def low_middle_high(values):
    return f"{min(values):.6g} {statistics.median(values):.6g} {max(values):.6g}"


def quoted(text):
    """A string of gnuplot's, which runs what stands between backquotes."""
    return '"' + text.replace('"', "'").replace("`", "") + '"'


def bars(name, title, unit, rows, logarithmic=False):
    """Horizontal bars, the first on top: rows of (what, values), the spread as a whisker."""
    rows = [(what, values) for what, values in rows if values]
    data = "\n".join(f"{len(rows) - i} {low_middle_high(values)} {quoted(short(statistics.median(values)))}"
                     f" {0 if what.startswith('ours') else 1}" for i, (what, values) in enumerate(rows))
    tics = ", ".join(f"{quoted(what)} {len(rows) - i}" for i, (what, _) in enumerate(rows))
    low = min(min(values) for _, values in rows)
    high = max(max(values) for _, values in rows)
    start = low / 2 if logarithmic else 0
    height = 90 + 26 * len(rows)
    return name + ".svg", HEAD.format(title=title, height=height, top=1 - 18 / height, grid="x") + f"""
$data << EOD
{data}
EOD
{"set logscale x" if logarithmic else ""}
set xrange [{start:.6g}:{high * (2 if logarithmic else 1.15):.6g}]
set yrange [0.3:{len(rows) + 0.7}]
set ytics ({tics})
set xlabel {quoted(unit)}
set palette maxcolors 2 defined (0 '{COLOURS[0]}', 1 '{COLOURS[1]}')
set cbrange [0:1]
unset colorbox
unset key
plot $data using ({start:.6g}):1:({start:.6g}):3:($1-0.32):($1+0.32):6 with boxxyerror fs solid noborder lc palette, \\
     $data using 3:1:2:4 with xerrorbars pt 0 lc rgb '#222222', \\
     $data using 4:1:5 with labels left offset 0.6,0 font ',10'
"""


def curves(name, title, x, y, lines):
    """Over a logarithmic x: lines of (what, [(x, values)]), the spread as whiskers."""
    lines = [(what, points) for what, points in lines if points]
    least, most = (end(at for _, points in lines for at, _ in points) for end in (min, max))
    high = max(max(values) for _, points in lines for _, values in points)
    blocks = "\n".join(f"$d{i} << EOD\n" + "\n".join(f"{at:g} {low_middle_high(values)}" for at, values in points) +
                       "\nEOD" for i, (_, points) in enumerate(lines))
    plots = ", \\\n".join(f"$d{i} using 1:3:2:4 with yerrorlines lw 2 pt 7 ps 0.6 lc rgb '{COLOURS[i]}' "
                          f"title {quoted(what)}" for i, (what, _) in enumerate(lines))
    return name + ".svg", HEAD.format(title=title, height=360, top=0.95, grid="y") + f"""
{blocks}
set logscale x
set format x "10^{{%L}}"
unset mxtics
set xrange [{least / 1.5:g}:{most * 1.5:g}]
set yrange [0:{1.25 * high:g}]
set xlabel {quoted(x)}
set ylabel {quoted(y)}
set key top right
plot {plots}
"""


def draw(directory, made):
    """Returns the names of the files; none where gnuplot is absent."""
    if not shutil.which("gnuplot"):
        return []
    for name, script in made:
        script = f"set output {quoted(directory + '/' + name)}\n" + script
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
    return [name for name, _ in made]
