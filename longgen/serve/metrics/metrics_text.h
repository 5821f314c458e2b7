// serve/metrics/metrics_text.h: metrics in the text format of Prometheus.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "longgen/serve/metrics/histogram.h"

namespace longgen {

/// Writes metrics one after the other, all with the label model_name. A metric with several values
/// is written by calls that follow one another.
class MetricsText {
 public:
  explicit MetricsText(std::string_view model_name);

  struct Label {
    std::string_view name, value;
  };
  /// A value that comes and goes.
  void gauge(std::string_view name, std::string_view help, double value);
  /// A value that grows; its name ends in _total.
  void counter(std::string_view name, std::string_view help, double value,
               std::optional<Label> label = {});
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram);

  const std::string& text() const { return text_; }

 private:
  void head(std::string_view name, std::string_view help, std::string_view type);
  void sample(std::string_view name, std::string_view suffix, std::optional<Label> label,
              double value);

  std::string model_label_, text_, last_name_;
};

}  // namespace longgen
