// eval/suite/item_log.h: the finished items of one model and task, a line each, so that a run that
// was stopped goes on.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "longgen/base/append_file.h"
#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/eval/suite/item_result.h"

namespace longgen {

/// The file's first line says what the items were made with: {"longgen_items": 1, "settings": {}}.
/// A line that a killed process left torn is dropped.
class ItemLog {
 public:
  /// Opens the file, or begins it. Throws Error on one that is not such a file, and on items of
  /// other settings, naming the first that differs.
  ItemLog(const fs::path& file, const OrderedJson& settings);

  /// The item's result, or null where it is not finished.
  const ItemResult* find(const std::string& id) const;
  /// Writes the result of an item that is not there yet.
  void add(ItemResult result);
  int64_t size() const { return static_cast<int64_t>(results_.size()); }

 private:
  void read(const fs::path& file, const OrderedJson& settings);

  std::map<std::string, ItemResult> results_;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace longgen
