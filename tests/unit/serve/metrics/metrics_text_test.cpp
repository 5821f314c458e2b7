#include "longgen/serve/metrics/metrics_text.h"

#include <gtest/gtest.h>

namespace longgen {
namespace {

TEST(HistogramTest, AValueAtABoundCountsBelowIt) {
  Histogram histogram(std::vector<double>{1, 2.5});
  for (const double value : {0.5, 1.0, 2.0, 2.5, 3.0}) histogram.add(value);
  EXPECT_EQ(histogram.cumulative(), (std::vector<int64_t>{2, 4, 5}));
  EXPECT_EQ(histogram.sum(), 9);
}

TEST(MetricsTextTest, IsThatOfPrometheus) {
  MetricsText text("a \"model\"\\of\nmine");
  text.gauge("running", "Requests that run.", 3);
  text.counter("ended_total", "Requests.", 4e9, MetricsText::Label{"by", "stop"});
  text.counter("ended_total", "Requests.", 0.1, MetricsText::Label{"by", "length"});
  Histogram histogram(std::vector<double>{0.05, 10});
  histogram.add(0.25);
  text.histogram("seconds", "Time.", histogram);
  const std::string model = R"(model_name="a \"model\"\\of\nmine")";
  EXPECT_EQ(text.text(),
            "# HELP running Requests that run.\n# TYPE running gauge\nrunning{" + model +
                "} 3\n# HELP ended_total Requests.\n# TYPE ended_total counter\n"
                "ended_total{" +
                model + ",by=\"stop\"} 4e+09\nended_total{" + model +
                ",by=\"length\"} 0.1\n# HELP seconds Time.\n# TYPE seconds "
                "histogram\nseconds_bucket{" +
                model + ",le=\"0.05\"} 0\nseconds_bucket{" + model +
                ",le=\"10\"} 1\nseconds_bucket{" + model + ",le=\"+Inf\"} 1\nseconds_sum{" + model +
                "} 0.25\nseconds_count{" + model + "} 1\n");
}

}  // namespace
}  // namespace longgen
