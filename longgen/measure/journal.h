// measure/journal.h: every value of a measurement, written down as soon as it is known, so that a
// measurement that was stopped or killed goes on where it was.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/measure/variant_values.h"

namespace longgen {

class AppendFile;

/// A variant of a model by its full layers, ascending. All others are sparse, but for those with a
/// window of the family's own.
using LayerSet = std::vector<int64_t>;

/// A file of JSON lines: first an object with the measurement's settings, then one line for each
/// variant and sample. A line that was torn by a kill is dropped.
class MeasureJournal {
 public:
  /// Opens the journal, or begins it where there is none, or with `restart`. Throws Error where it
  /// belongs to a measurement with other settings, naming the first that differs, and on a line
  /// that is no line of a journal, whose values have `num_ranges` ranges of positions.
  MeasureJournal(fs::path file, const OrderedJson& settings, size_t num_ranges, bool restart);
  ~MeasureJournal();

  /// Returns what is known of a variant and a sample; null where it is not.
  const VariantValues* find(int64_t sample, const LayerSet& full) const;
  void add(int64_t sample, const LayerSet& full, const VariantValues& values);

  int64_t num_variants() const { return static_cast<int64_t>(known_.size()); }
  const fs::path& path() const { return path_; }

 private:
  void read(const std::string& text, const OrderedJson& settings, size_t num_ranges);

  fs::path path_;
  std::map<std::pair<int64_t, LayerSet>, VariantValues> known_;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace longgen
