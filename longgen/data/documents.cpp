#include "longgen/data/documents.h"

#include "longgen/base/check.h"
#include "longgen/data/document_parser.h"
#include "longgen/data/record_reader.h"
#include "longgen/data/sources.h"

namespace longgen {

void for_each_document(const std::vector<fs::path>& inputs, const std::string& text_field,
                       const std::function<bool(std::string_view text)>& visit) {
  constexpr int64_t kMaxDocumentBytes = int64_t{1} << 30;
  const std::vector<Source> sources = expand_inputs(inputs);
  RecordReader reader(sources, kMaxDocumentBytes);
  DocumentParser parser(sources, {.text = text_field});
  RecordBatch batch;
  std::vector<BadLine> bad;
  while (reader.next(batch)) {
    for (const Record& record : batch.records) {
      const std::string_view text = parser.parse(batch, record, bad).text;
      LG_CHECK(bad.empty(), sources[bad.front().source].path.string(), ":", bad.front().line, ": ",
               bad.front().reason);
      if (!text.empty() && !visit(text)) return;
    }
  }
}

TokenDataset open_documents(const fs::path& directory, const std::string& split,
                            const std::string& tokenizer_hash) {
  TokenDataset dataset = TokenDataset::open(directory, split);
  dataset.expect_tokenizer(tokenizer_hash);
  LG_CHECK(dataset.num_documents() > 0, directory.string(), ": the split ", split,
           " has no documents.",
           split == kHeldOutSplit
               ? " Measure what training reads (--split train), or prepare the dataset with "
                 "--held-out above 0."
               : "");
  return dataset;
}

}  // namespace longgen
