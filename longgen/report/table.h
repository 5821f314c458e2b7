// report/table.h: rows of text as CSV.
#pragma once

#include <string>
#include <vector>

namespace longgen {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< each as long as columns
};

/// Writes RFC 4180 with "\n" after each line: a field that holds a comma, a quotation mark, a line
/// break or spaces at its ends is quoted. Throws Error on a row that is not as long as the header.
std::string to_csv(const Table& table);

}  // namespace longgen
