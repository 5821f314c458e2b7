// eval/tasks/qa_documents.h: questions, and the documents that answer them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"

namespace longgen {

struct QaQuestion {
  std::string text;
  std::vector<std::string> answers;  ///< each of them is right; none is empty
  std::vector<int64_t> needed;       ///< the documents that a sample must have
  std::vector<int64_t> related;      ///< those of the same article, which a sample has first
};

struct QaDocuments {
  std::vector<std::string> documents;  ///< each of them once
  std::vector<QaQuestion> questions;
};

/// Reads SQuAD's form: data[].paragraphs[] with context and qas[], each with question and
/// answers[].text. Questions with is_impossible are left out. Throws Error naming file and field.
QaDocuments read_squad(const fs::path& path);

/// Reads HotpotQA's form: an array of objects with question, answer and context, pairs of a title
/// and its sentences. Throws Error naming file and field.
QaDocuments read_hotpotqa(const fs::path& path);

/// Reads JSON lines with question, answers, title and text, the passage that answers it. Throws
/// Error naming file, line and field.
QaDocuments read_oracle_lines(const fs::path& path);

}  // namespace longgen
