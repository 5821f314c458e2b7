// data/documents.h: the documents of a corpus one by one, for evaluations.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"

namespace longgen {

/// Calls `visit` with the text of every document of the files and folders (see expand_inputs()), in
/// order, until it returns false. Empty documents are left out. Throws Error naming file and line
/// for a bad line.
void for_each_document(const std::vector<fs::path>& inputs, const std::string& text_field,
                       const std::function<bool(std::string_view text)>& visit);

}  // namespace longgen
