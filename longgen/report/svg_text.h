// report/svg_text.h: the smallest parts of pictures and pages: escaped text, numbers, axes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// Makes a text from outside one that may stand in XML and HTML, between tags and in quoted
/// attributes. Bytes that are not UTF-8, control characters, characters that XML forbids and those
/// that turn the direction of writing become U+FFFD.
std::string escape_xml(std::string_view text);

/// Returns the text, or its first max_chars - 1 characters and an ellipsis.
std::string shortened(std::string_view text, int64_t max_chars);

/// Writes a coordinate with at most two decimals.
std::string coordinate(double value);

/// Gives round values (1, 2 or 5 times a power of ten apart) within [low, high], about `count`.
std::vector<double> round_ticks(double low, double high, int64_t count);
/// Gives 1, 2 and 5 times powers of ten within [low, high], both above 0; whole powers alone where
/// those would be many.
std::vector<double> logarithmic_ticks(double low, double high);

/// Writes the values with as many decimals as all of them need, or with exponents.
std::vector<std::string> tick_labels(const std::vector<double>& values);

/// Writes a figure with so many decimals, one of a million and more with four digits instead.
std::string figure_text(double value, int decimals);

/// Estimates the width of a text in pixels, at the size of labels in charts.
double label_width(std::string_view text);

}  // namespace longgen
