"""What the pictures of the documentation share: the look of SVG cards, light and dark, and their elements."""

WIDTH = 860  # points
LIGHT = """.card { fill: #ffffff; stroke: #d0d7de } text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 } .strong { font-weight: 600 } .faint { fill: #59636e }"""
DARK = ".card { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .faint { fill: #9198a1 }"


def text(x, y, content, style="", anchor="start"):
    return f'<text x="{x:.6g}" y="{y:.6g}" class="{style}" text-anchor="{anchor}">{content}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.6g}" y1="{y1:.6g}" x2="{x2:.6g}" y2="{y2:.6g}" class="{style}"/>'


def box(x, y, width, height, style):
    return f'<rect x="{x:.6g}" y="{y:.6g}" width="{width:.6g}" height="{height:.6g}" class="{style}"/>'


def picture(height, described, light, dark, parts):
    """A card of WIDTH x height; `light` and `dark` are rules for the classes of `parts`."""
    style = f"\n  {LIGHT}\n  {light}\n  @media (prefers-color-scheme: dark) {{\n    {DARK}\n    {dark}\n  }}\n"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">', f"<title>{described}</title>",
        f"<style>{style}</style>", f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" class="card"/>', *parts, "</svg>", ""])
