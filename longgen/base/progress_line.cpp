#include "longgen/base/progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "longgen/base/units.h"

namespace longgen {
namespace {

constexpr std::array kBarWidths = {20, 10, 0};

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

int64_t columns_of(char first_byte) {
  if (continues_character(first_byte)) return 0;
  return static_cast<unsigned char>(first_byte) < 0x80 ? 1 : 2;
}

std::string without_controls(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = '?';
  }
  return text;
}

std::string cut(const std::string& text, int64_t columns) {
  size_t end = 0;
  for (; end < text.size(); ++end) {
    columns -= columns_of(text[end]);
    if (columns < 0) break;
  }
  while (end < text.size() && continues_character(text[end])) --end;
  return text.substr(0, end);
}

std::string amount(int64_t count, const std::string& unit) {
  return unit == "B" ? format_bytes(count) : format_si(static_cast<double>(count));
}

/// Writes " 1.2M/5.8M tokens".
std::string counts(const ProgressState& state) {
  return fmt::format(" {}/{}{}", amount(state.done, state.unit), amount(state.total, state.unit),
                     state.unit == "B" ? "" : " " + state.unit);
}

/// Writes " 310K tokens/s", or " 1m40s each" of what takes longer than a second.
std::string speed(const ProgressState& state) {
  if (state.rate <= 0) return "";
  if (state.unit == "B") return " " + format_bytes(static_cast<int64_t>(state.rate)) + "/s";
  if (state.rate < 1) return " " + format_duration(1 / state.rate) + " each";
  return fmt::format(" {} {}/s", format_si(state.rate), state.unit);
}

std::string time(const ProgressState& state) {
  if (state.seconds < 0) return "";
  return (state.finished ? " took " : " ETA ") + format_duration(state.seconds);
}

std::string bar(double share, int width) {
  if (width == 0) return "";
  const int filled = static_cast<int>(share * width);
  return " [" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

}  // namespace

int64_t count_columns(const std::string& text) {
  int64_t columns = 0;
  for (const char c : text) columns += columns_of(c);
  return columns;
}

std::string progress_line(const ProgressState& state, int64_t columns) {
  const double share = std::clamp(
      static_cast<double>(state.done) / static_cast<double>(std::max<int64_t>(state.total, 1)), 0.0,
      1.0);
  const std::string label = without_controls(state.label);
  std::string note = without_controls(state.note);
  const auto line = [&](int width, const std::string& middle) {
    return fmt::format("{}{} {:3.0f}%{}{}{}", label, bar(share, width), share * 100, middle,
                       note.empty() ? "" : "  ", note);
  };
  const auto fits = [&](const std::string& text) { return count_columns(text) <= columns; };
  for (const std::string& middle :
       {counts(state) + speed(state) + time(state), counts(state) + time(state), time(state)}) {
    for (const int width : kBarWidths) {
      if (std::string text = line(width, middle); fits(text)) return text;
    }
  }
  while (!note.empty()) {
    const size_t last = note.rfind(", ");
    note.resize(last == std::string::npos ? 0 : last);
    if (std::string text = line(0, time(state)); fits(text)) return text;
  }
  return cut(line(0, ""), columns);
}

}  // namespace longgen
