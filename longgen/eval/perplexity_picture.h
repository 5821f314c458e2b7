// eval/perplexity_picture.h: lines of perplexity with their intervals, for gnuplot.
#pragma once

#include <string>
#include <vector>

#include "longgen/eval/buckets.h"

namespace longgen {

/// What is drawn of one model.
struct PerplexityLine {
  std::string name;
  std::vector<BucketSummary> points;  ///< each stands at its end, with a finite perplexity
};

struct PerplexityPicture {
  std::string title, x_label;         ///< of our own words: they are not escaped
  std::vector<PerplexityLine> lines;  ///< at least one, each with at least one point
};

/// Writes one block a line, which is what gnuplot calls an index. NaN leaves a gap in a band.
std::string perplexity_data(const std::vector<PerplexityLine>& lines);

/// Writes the script that draws NAME.dat.
std::string perplexity_script(const std::string& name, const PerplexityPicture& picture);

}  // namespace longgen
