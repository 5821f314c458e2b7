#include "longgen/report/table.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

void append_field(const std::string& field, std::string& csv) {
  const bool quoted = field.find_first_of(",\"\r\n") != std::string::npos ||
                      field.starts_with(' ') || field.ends_with(' ');
  if (!quoted) {
    csv += field;
    return;
  }
  csv += '"';
  for (const char c : field) csv.append(c == '"' ? 2 : 1, c);
  csv += '"';
}

void append_row(const std::vector<std::string>& row, std::string& csv) {
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) csv += ',';
    append_field(row[i], csv);
  }
  csv += '\n';
}

}  // namespace

std::string to_csv(const Table& table) {
  std::string csv;
  append_row(table.columns, csv);
  for (const auto& row : table.rows) {
    LG_CHECK(row.size() == table.columns.size(), "[to_csv] expected rows of ", table.columns.size(),
             " fields, found one of ", row.size(), ".");
    append_row(row, csv);
  }
  return csv;
}

}  // namespace longgen
