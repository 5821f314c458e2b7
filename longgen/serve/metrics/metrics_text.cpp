#include "longgen/serve/metrics/metrics_text.h"

#include <charconv>
#include <cmath>

namespace longgen {
namespace {

/// The shortest text that reads as the same number.
std::string number(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return {text, end};
}

std::string label_text(std::string_view name, std::string_view value) {
  std::string text(name);
  text += "=\"";
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

}  // namespace

MetricsText::MetricsText(std::string_view model_name)
    : model_label_(label_text("model_name", model_name)) {}

void MetricsText::head(std::string_view name, std::string_view help, std::string_view type) {
  if (name == last_name_) return;
  last_name_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricsText::sample(std::string_view name, std::string_view suffix, std::optional<Label> label,
                         double value) {
  text_.append(name).append(suffix).append("{").append(model_label_);
  if (label) text_.append(",").append(label_text(label->name, label->value));
  text_.append("} ").append(number(value)).append("\n");
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
  head(name, help, "gauge");
  sample(name, "", std::nullopt, value);
}

void MetricsText::counter(std::string_view name, std::string_view help, double value,
                          std::optional<Label> label) {
  head(name, help, "counter");
  sample(name, "", label, value);
}

void MetricsText::histogram(std::string_view name, std::string_view help,
                            const Histogram& histogram) {
  head(name, help, "histogram");
  const std::vector<int64_t> cumulative = histogram.cumulative();
  for (size_t i = 0; i < cumulative.size(); ++i) {
    const bool is_last = i == histogram.bounds().size();
    const std::string bound = number(is_last ? INFINITY : histogram.bounds()[i]);
    sample(name, "_bucket", Label{"le", bound}, static_cast<double>(cumulative[i]));
  }
  sample(name, "_sum", std::nullopt, histogram.sum());
  sample(name, "_count", std::nullopt, static_cast<double>(cumulative.back()));
}

}  // namespace longgen
