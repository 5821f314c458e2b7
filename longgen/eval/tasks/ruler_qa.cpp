// The wording is the benchmark's definition, word for word, from https://github.com/NVIDIA/RULER,
// scripts/data/synthetic/qa.py and constants.py (Copyright (c) 2024, NVIDIA CORPORATION, Apache
// License 2.0).
#include "longgen/eval/tasks/ruler_qa.h"

#include <algorithm>
#include <utility>

#include "longgen/eval/answer_score.h"
#include "longgen/eval/tasks/qa_documents.h"
#include "longgen/eval/tasks/ruler_item.h"

namespace longgen {
namespace {

constexpr int64_t kNewTokens = 32;

QaDocuments read_documents(const std::string& name, const TaskMaterial& material) {
  const fs::path& folder = material.options().folder;
  if (name == "qa_1") {
    if (fs::exists(folder / "qa/squad.json")) return read_squad(folder / "qa/squad.json");
    return read_squad(
        material.file("qa/xquad.en.json", "questions in SQuAD's form, here or in qa/squad.json"));
  }
  if (fs::exists(folder / "qa/hotpotqa.json")) return read_hotpotqa(folder / "qa/hotpotqa.json");
  return read_oracle_lines(
      material.file("qa/nq_open_oracle.jsonl",
                    "JSON lines with question, answers, title and text, or HotpotQA's form in "
                    "qa/hotpotqa.json"));
}

PromptText ask(const std::string& context, const std::string& question) {
  const std::string task =
      "Answer the question based on the given documents. Only give me the answer and do not output "
      "any other words.\n\n";
  return {task + "The following are given documents.\n\n" + context + "\n\n" + task +
              "Question: " + question,
          " Answer:"};
}

std::string numbered(int64_t number, const std::string& document) {
  return "Document " + std::to_string(number) + ":\n" + document;
}

class QaTask : public LongTask {
 public:
  QaTask(const std::string& name, std::shared_ptr<const TaskMaterial> material)
      : name_(name),
        material_(std::move(material)),
        qa_(read_documents(name, *material_)),
        tokens_(qa_.documents.size(), 0),
        order_(shuffled(static_cast<int64_t>(qa_.questions.size()), material_->key(name))) {}

  std::string name() const override { return name_; }

  GenerationItem item(int64_t length_tokens, int64_t index) const override {
    check_sample(name_, length_tokens, index);
    RandomStream random(material_->key(name_, length_tokens, index));
    const auto turn = static_cast<size_t>(index) % order_.size();
    const QaQuestion& question = qa_.questions[static_cast<size_t>(order_[turn])];
    std::vector<int64_t> chosen = question.needed;  // and then those that next() adds
    Passage more = others(question, random.next(), chosen);
    const uint64_t places = random.next();
    PromptFitter::Fitted fitted = material_->fitter().fit(
        {name_, length_tokens, kNewTokens},
        [&](int64_t max_tokens) { return more.most(max_tokens); },
        [&](int64_t num_others) {
          const auto count = static_cast<int64_t>(question.needed.size()) + num_others;
          return ask(context(chosen, count, places), question.text);
        });
    return ruler_item(sample_id(length_tokens, index), std::move(fitted.text), question.answers,
                      kNewTokens, score_any_answer);
  }

 private:
  /// Returns the documents beside the needed ones, and writes their numbers behind those in
  /// `chosen`: of the same article, then all others, then, where they do not reach, all again.
  Passage others(const QaQuestion& question, uint64_t key, std::vector<int64_t>& chosen) const {
    std::vector<int64_t> order;
    for (const int64_t i : shuffled(static_cast<int64_t>(question.related.size()), key)) {
      order.push_back(question.related[static_cast<size_t>(i)]);
    }
    std::vector<bool> used(qa_.documents.size());
    for (const int64_t i : question.needed) used[static_cast<size_t>(i)] = true;
    for (const int64_t i : order) used[static_cast<size_t>(i)] = true;
    const std::vector<int64_t> all = shuffled(static_cast<int64_t>(qa_.documents.size()), key);
    std::copy_if(all.begin(), all.end(), std::back_inserter(order),
                 [&](int64_t i) { return !used[static_cast<size_t>(i)]; });
    const auto next = [this, order, all, &chosen, at = size_t{0}]() mutable {
      const int64_t document =
          at < order.size() ? order[at] : all[(at - order.size()) % all.size()];
      ++at;
      chosen.push_back(document);
      return std::optional<Piece>({"", document_tokens(document)});
    };
    return Passage(next, "");
  }

  std::string context(const std::vector<int64_t>& chosen, int64_t count, uint64_t key) const {
    std::string text;
    int64_t number = 0;
    for (const int64_t i : shuffled(count, key)) {
      if (number > 0) text += "\n\n";
      const int64_t document = chosen[static_cast<size_t>(i)];
      text += numbered(++number, qa_.documents[static_cast<size_t>(document)]);
    }
    return text;
  }

  int64_t document_tokens(int64_t document) const {
    int32_t& tokens = tokens_[static_cast<size_t>(document)];
    if (tokens == 0) {
      const std::string text = "\n\n" + numbered(100, qa_.documents[static_cast<size_t>(document)]);
      const auto num_tokens = static_cast<int32_t>(material_->tokenizer().encode(text).size());
      tokens = std::max(num_tokens, 1);
    }
    return tokens;
  }

  std::string name_;
  std::shared_ptr<const TaskMaterial> material_;
  QaDocuments qa_;
  mutable std::vector<int32_t> tokens_;  // of each document; 0: not counted
  std::vector<int64_t> order_;           // of the questions
};

}  // namespace

std::unique_ptr<LongTask> make_qa_task(const std::string& name,
                                       std::shared_ptr<const TaskMaterial> material) {
  return std::make_unique<QaTask>(name, std::move(material));
}

}  // namespace longgen
