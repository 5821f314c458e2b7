#include "longgen/report/svg_chart.h"

namespace longgen {

std::string chart_css() {
  // Okabe and Ito's colours: on white blue, vermillion, green, purple, orange, sky and black; on
  // black those that are light enough: sky, orange, green, purple, yellow, vermillion and white.
  return R"(
.chart { --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #cc79a7; --s4: #e69f00; --s5: #56b4e9; --s6: #1b1b1b;
  --text: #1b1b1b; --quiet: #5c5c5c; --grid: #e3e3e3; --ground: #ffffff; display: block; max-width: 100%; height: auto;
  font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.chart.wide { min-width: 31rem; }
@media (prefers-color-scheme: dark) {
  .chart { --s0: #56b4e9; --s1: #e69f00; --s2: #009e73; --s3: #cc79a7; --s4: #f0e442; --s5: #d55e00; --s6: #ececec;
    --text: #ececec; --quiet: #a8a8a8; --grid: #333333; --ground: #161616; }
}
.chart .s0 { --c: var(--s0); } .chart .s1 { --c: var(--s1); } .chart .s2 { --c: var(--s2); }
.chart .s3 { --c: var(--s3); } .chart .s4 { --c: var(--s4); } .chart .s5 { --c: var(--s5); } .chart .s6 { --c: var(--s6); }
.chart .tick { fill: var(--quiet); font-variant-numeric: tabular-nums; }
.chart .label { fill: var(--text); }
.chart .strong { fill: var(--text); font-weight: 700; }
.chart .grid { stroke: var(--grid); }
.chart .axis { stroke: var(--quiet); }
.chart .zero { stroke: var(--text); stroke-width: 1.2; }
.chart .leader { stroke: var(--grid); }
.chart .line { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; }
.chart .dash1 { stroke-dasharray: 7 4; } .chart .dash2 { stroke-dasharray: 2 4; }
.chart .mark { fill: var(--c); stroke: var(--ground); stroke-width: 1; }
.chart .band { fill: var(--c); fill-opacity: 0.14; }
.chart .whisker { stroke: var(--c); stroke-width: 5; stroke-opacity: 0.3; }
.chart .bar { fill: var(--c); }
.chart .on-dark { fill: #ffffff; font-weight: 600; } .chart .on-light { fill: #000000; font-weight: 600; }
)";
}

}  // namespace longgen
