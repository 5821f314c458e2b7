#include "longgen/measure/texts.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/data/document_tokens.h"

namespace longgen {

StretchCollector::StretchCollector(int64_t length, int64_t count, std::optional<int32_t> begin)
    : length_(length), count_(count), begin_(begin) {
  LG_CHECK(length >= 2 && count >= 1, "[measure] expected stretches of at least 2 tokens, found ",
           count, " of ", length, ".");
}

bool StretchCollector::add(std::vector<int32_t> ids) {
  const int64_t needed = length_ - (begin_ ? 1 : 0);
  const auto size = static_cast<int64_t>(ids.size());
  ++num_documents_;
  longest_ = std::max(longest_, size + length_ - needed);
  if (size >= needed) documents_.push_back(std::move(ids));
  return static_cast<int64_t>(documents_.size()) < count_;
}

std::vector<std::vector<int32_t>> StretchCollector::stretches(const std::string& source) const {
  LG_CHECK(!documents_.empty(), source, ": no document has ", format_count(length_),
           " tokens (--length); the longest of ", format_count(num_documents_), " has ",
           format_count(longest_), ". Give longer documents, or a smaller --length.");
  const int64_t body = length_ - (begin_ ? 1 : 0);
  std::vector<std::vector<int32_t>> stretches;
  bool found = true;
  for (int64_t round = 0; found; ++round) {
    found = false;
    for (const std::vector<int32_t>& document : documents_) {
      if (static_cast<int64_t>(stretches.size()) == count_) return stretches;
      if (static_cast<int64_t>(document.size()) < (round + 1) * body) continue;
      found = true;
      std::vector<int32_t> ids;
      if (begin_) ids.push_back(*begin_);
      ids.insert(ids.end(), document.begin() + round * body, document.begin() + (round + 1) * body);
      stretches.push_back(std::move(ids));
    }
  }
  return stretches;
}

namespace {

void read_texts(const DocumentSource& source, const Tokenizer& tokenizer,
                StretchCollector& collector) {
  for_each_document(
      {source.texts.begin(), source.texts.end()}, source.text_field, [&](std::string_view text) {
        return collector.add(
            tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false}));
      });
}

void read_dataset(const DocumentSource& source, const Tokenizer& tokenizer,
                  const DocumentTokens& around, StretchCollector& collector) {
  const TokenDataset dataset = open_documents(source.data, source.split, tokenizer.hash());
  for (int64_t d = 0; d < dataset.num_documents(); ++d) {
    std::vector<int32_t> ids = dataset.tokens(d);
    if (around.begin && !ids.empty() && ids.front() == *around.begin) ids.erase(ids.begin());
    if (dataset.end_id() && !ids.empty() && ids.back() == *dataset.end_id()) ids.pop_back();
    if (!collector.add(std::move(ids))) return;
  }
}

std::string name_of(const DocumentSource& source) {
  if (!source.data.empty()) return source.data + " (" + source.split + ")";
  const size_t num_others = source.texts.size() - 1;
  return source.texts.front() +
         (num_others > 0 ? " and " + format_count(static_cast<int64_t>(num_others)) + " more" : "");
}

}  // namespace

std::vector<std::vector<int32_t>> read_stretches(const DocumentSource& source,
                                                 const Tokenizer& tokenizer,
                                                 const fs::path& model_directory, int64_t length,
                                                 int64_t count) {
  const DocumentTokens around = find_document_tokens(tokenizer, model_directory);
  StretchCollector collector(length, count, around.begin);
  if (source.data.empty()) {
    read_texts(source, tokenizer, collector);
  } else {
    read_dataset(source, tokenizer, around, collector);
  }
  return collector.stretches(name_of(source));
}

}  // namespace longgen
