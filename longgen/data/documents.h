// data/documents.h: the documents of a corpus one by one, for evaluations.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/dataset_format.h"
#include "longgen/data/token_dataset.h"

namespace longgen {

/// Where documents come from: files and folders as for `longgen prepare`, or a dataset that it
/// wrote. Paths are as the user gave them.
struct DocumentSource {
  std::vector<std::string> texts;
  std::string text_field = "text";  ///< of JSON lines
  std::string data;                 ///< the dataset; empty where there are texts
  std::string split = kHeldOutSplit;
};

/// Calls `visit` with the text of every document of the files and folders (see expand_inputs()), in
/// order, until it returns false. Empty documents are left out. Throws Error naming file and line
/// for a bad line.
void for_each_document(const std::vector<fs::path>& inputs, const std::string& text_field,
                       const std::function<bool(std::string_view text)>& visit);

/// Opens a split of a dataset. Throws Error as TokenDataset::open() does, where its tokens come
/// from another tokenizer than the one with this hash, and where it has no documents.
TokenDataset open_documents(const fs::path& directory, const std::string& split,
                            const std::string& tokenizer_hash);

}  // namespace longgen
