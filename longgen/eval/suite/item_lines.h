// eval/suite/item_lines.h: files of JSON lines, an item a line.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"

namespace longgen {

/// Calls `visit` with each line that is not blank, whose errors begin with "FILE:LINE". Throws
/// Error where the file cannot be read, holds no line, or a line is no JSON object.
void for_each_item_line(const fs::path& file,
                        const std::function<void(const JsonObject& line)>& visit);

/// Reads the field `id`, a number or a text, or makes one of the number of the item in its file.
std::string item_id(const JsonObject& line, size_t number);

/// Results are kept by id: no two items of a task may have the same one.
class UniqueIds {
 public:
  /// Throws Error naming both lines.
  void add(const std::string& id, const JsonObject& line);

 private:
  std::map<std::string, std::string> lines_;  // "FILE:LINE" of each id
};

/// Reads a list of at least `fewest` texts, none of them empty.
std::vector<std::string> item_texts(const JsonObject& line, const std::string& field,
                                    size_t fewest);

/// Takes whitespace off both ends, as Python's str.strip() does for what is no letter outside
/// ASCII.
std::string stripped(const std::string& text);

}  // namespace longgen
