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
#include "longgen/measure/gate_slopes.h"
#include "longgen/measure/variant_values.h"

namespace longgen {

class AppendFile;

/// A variant of a model by its full layers, ascending. All others are sparse, but for those with a
/// window of the family's own.
using LayerSet = std::vector<int64_t>;

/// How long the lists in a journal's lines are.
struct JournalShape {
  size_t num_ranges = 0;  ///< of positions of far text
  size_t num_units = 0;   ///< candidates, of which a pass through gates has slopes
};

/// A file of JSON lines: first an object with the measurement's settings, then one line for each
/// variant and sample, and for each sample that went through gates. A line that was torn by a kill
/// is dropped.
class MeasureJournal {
 public:
  /// Opens the journal, or begins it where there is none, or with `restart`. Throws Error where it
  /// belongs to a measurement with other settings, naming the first that differs, and on a line
  /// that is no line of a journal of this shape.
  MeasureJournal(fs::path file, const OrderedJson& settings, const JournalShape& shape,
                 bool restart);
  ~MeasureJournal();

  /// Returns what is known of a variant and a sample; null where it is not.
  const VariantValues* find(int64_t sample, const LayerSet& full) const;
  void add(int64_t sample, const LayerSet& full, const VariantValues& values);

  /// The same of a sample's pass through gates.
  const GateSlopes* find_gates(int64_t sample) const;
  void add_gates(int64_t sample, const GateSlopes& slopes);

  int64_t num_variants() const { return static_cast<int64_t>(known_.size()); }
  int64_t num_gate_passes() const { return static_cast<int64_t>(gates_.size()); }
  const fs::path& path() const { return path_; }

 private:
  void read(const std::string& text, const OrderedJson& settings, const JournalShape& shape);
  void read_line(const JsonObject& line, const JournalShape& shape);

  fs::path path_;
  std::map<std::pair<int64_t, LayerSet>, VariantValues> known_;
  std::map<int64_t, GateSlopes> gates_;  // by sample
  std::unique_ptr<AppendFile> file_;
};

}  // namespace longgen
