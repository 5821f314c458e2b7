#include "longgen/report/html_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/report/svg_chart.h"
#include "longgen/report/svg_text.h"

namespace longgen {
namespace {

constexpr const char* kPageCss = R"(
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5c5c5c; --rule: #d9d9d9; --paper: #ffffff; --shade: #00000033; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #a8a8a8; --rule: #3a3a3a; --paper: #161616; --shade: #ffffff4d; }
}
body { margin: 0 auto; max-width: 56rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 0.75rem; font-size: 1.25rem; }
p { margin: 0.5rem 0; max-width: 44rem; overflow-wrap: anywhere; }
.summary { font-size: 1.1rem; }
.scroll, figure { overflow-x: auto; margin: 1rem 0; background:
  linear-gradient(to right, var(--paper) 40%, transparent) 0 0 / 2rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 40%, transparent) 100% 0 / 2rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) 0 0 / 0.6rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) 100% 0 / 0.6rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding: 0 0 0.4rem; text-align: left; font-weight: 600; white-space: nowrap; }
th, td { padding: 0.25rem 0 0.25rem 1.5rem; text-align: right; vertical-align: baseline; white-space: nowrap; }
th:first-child, td:first-child { padding-left: 0; text-align: left; font-weight: normal; }
thead th { border-bottom: 1px solid var(--soft); font-weight: 600; white-space: normal; overflow-wrap: break-word; max-width: 14rem; }
thead th:first-child { font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
tr.total > * { border-top: 1px solid var(--soft) !important; font-weight: 600; }
td small { display: block; color: var(--soft); font-size: 0.78rem; font-weight: normal; line-height: 1.2; }
figure { margin: 1.25rem 0; }
figcaption { margin-bottom: 0.4rem; font-weight: 600; overflow-wrap: anywhere; }
.charts { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.charts figure { max-width: 100%; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.25rem; margin: 0; font-size: 0.9rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
dd span { white-space: nowrap; }
@media (max-width: 36rem) { body { padding: 1.25rem 1rem 3rem; } dl { display: block; } dd { margin-bottom: 0.6rem; } }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
)";

std::string paragraph(const std::string& text, const char* kind = "") {
  return fmt::format("<p{}>{}</p>\n", kind, escape_xml(text));
}

std::string write(const PageText& part) { return paragraph(part.text); }

std::string cell(const PageCell& cell) {
  const std::string note = cell.note.empty() ? "" : "<small>" + escape_xml(cell.note) + "</small>";
  return escape_xml(cell.text) + note;
}

/// Says that the keys move what is wider than the page; not every browser finds that out itself.
std::string focusable(const std::string& caption) {
  return " tabindex=\"0\" role=\"region\" aria-label=\"" + escape_xml(caption) + "\"";
}

std::string write(const PageTable& table) {
  std::string html = "<div class=\"scroll\"" + focusable(table.caption) + "><table>\n";
  if (!table.caption.empty()) html += "<caption>" + escape_xml(table.caption) + "</caption>\n";
  html += "<thead><tr>";
  for (const std::string& column : table.columns) {
    html += "<th scope=\"col\">" + escape_xml(column) + "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::vector<PageCell>& row = table.rows[r];
    LG_CHECK(row.size() == table.columns.size(), "[html_page] expected rows of ",
             table.columns.size(), " cells, found one of ", row.size(), ".");
    const bool is_total = table.last_is_total && r + 1 == table.rows.size();
    html += is_total ? "<tr class=\"total\">" : "<tr>";
    for (size_t c = 0; c < row.size(); ++c) {
      html +=
          c == 0 ? "<th scope=\"row\">" + cell(row[c]) + "</th>" : "<td>" + cell(row[c]) + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string write(const PageChart& chart) {
  const std::string caption =
      chart.caption.empty() ? "" : "<figcaption>" + escape_xml(chart.caption) + "</figcaption>\n";
  return "<figure" + focusable(chart.caption) + ">" + caption + chart.svg + "</figure>\n";
}

std::string write(const PageCharts& part) {
  std::string html = "<div class=\"charts\">\n";
  for (const PageChart& chart : part.charts) html += write(chart);
  return html + "</div>\n";
}

/// Escapes a text and keeps browsers from breaking a line behind the hyphens of "--option".
std::string with_whole_options(const std::string& text) {
  std::string html;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(" \n", at), text.size());
    const std::string word = escape_xml(text.substr(at, end - at));
    html += word.starts_with("--") ? "<span>" + word + "</span>" : word;
    if (end < text.size()) html += text[end];
    at = end + 1;
  }
  return html;
}

std::string write_facts(const ReportPage& page) {
  std::string html = "<h2>How it was measured</h2>\n<dl>\n";
  for (const auto& [name, value] : page.facts) {
    html += "<dt>" + escape_xml(name) + "</dt><dd>" + with_whole_options(value) + "</dd>\n";
  }
  return html + "</dl>\n";
}

}  // namespace

std::string html_page(const ReportPage& page) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      escape_xml(page.title), kPageCss, chart_css());
  if (!page.summary.empty()) html += paragraph(page.summary, " class=\"summary\"");
  for (const PageSection& section : page.sections) {
    html += "<h2>" + escape_xml(section.title) + "</h2>\n";
    for (const auto& part : section.parts) {
      html += std::visit([](const auto& one) { return write(one); }, part);
    }
  }
  if (!page.facts.empty()) html += write_facts(page);
  return html + "</body>\n</html>\n";
}

}  // namespace longgen
