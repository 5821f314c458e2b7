// plan/table.h: aligned text for terminals.
#pragma once

#include <string>
#include <vector>

namespace longgen {

/// Aligns rows of cells; the first column stands left, the others right, two spaces between
/// columns. A row of one cell is a heading: it takes no part in the widths. Cells are ASCII only.
/// Each row ends in a newline.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// Writes a cell as printf does: format_number(2.5, "%.2f") is "2.50".
std::string format_number(double value, const char* format);

}  // namespace longgen
