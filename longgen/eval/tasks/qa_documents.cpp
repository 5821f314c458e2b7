#include "longgen/eval/tasks/qa_documents.h"

#include <algorithm>
#include <unordered_map>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/eval/tasks/text_lines.h"

namespace longgen {
namespace {

/// Gives each document a number, equal ones the same.
class DocumentNumbers {
 public:
  explicit DocumentNumbers(QaDocuments& qa) : qa_(qa) {}

  int64_t number(const std::string& document) {
    const auto [at, is_new] =
        numbers_.try_emplace(document, static_cast<int64_t>(qa_.documents.size()));
    if (is_new) qa_.documents.push_back(document);
    return at->second;
  }

 private:
  QaDocuments& qa_;
  std::unordered_map<std::string, int64_t> numbers_;
};

const Json& array_of(const JsonObject& object, const std::string& key) {
  const Json& value = object.raw(key);
  LG_CHECK(value.is_array(), object.where(key), ": expected an array, found ", value.type_name(),
           ".");
  return value;
}

std::string text_of(const Json& value, const std::string& where) {
  LG_CHECK(value.is_string(), where, ": expected a text, found ", value.type_name(), ".");
  return value.get<std::string>();
}

void add_question(QaDocuments& qa, QaQuestion question, const std::string& where) {
  std::erase(question.answers, "");
  LG_CHECK(!question.answers.empty(), where, ": expected at least one answer, found none.");
  qa.questions.push_back(std::move(question));
}

void check_questions(const QaDocuments& qa, const fs::path& path) {
  LG_CHECK(!qa.questions.empty(), path.string(), ": expected questions, found none.");
}

/// Returns the path of an element, for messages: "data[3].paragraphs".
std::string element(const std::string& path, size_t i) { return detail::concat(path, "[", i, "]"); }

void read_squad_paragraph(const JsonObject& paragraph, const std::string& path, int64_t document,
                          const std::vector<int64_t>& related, QaDocuments& qa) {
  const Json& entries = array_of(paragraph, "qas");
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string item_path = element(path + ".qas", i);
    const JsonObject item(entries[i], paragraph.source(), item_path);
    if (item.boolean("is_impossible", false)) continue;
    QaQuestion question = {item.string("question"), {}, {document}, {}};
    const Json& answers = array_of(item, "answers");
    for (size_t j = 0; j < answers.size(); ++j) {
      const JsonObject answer(answers[j], item.source(), element(item_path + ".answers", j));
      question.answers.push_back(answer.string("text"));
    }
    std::copy_if(related.begin(), related.end(), std::back_inserter(question.related),
                 [&](int64_t other) { return other != document; });
    add_question(qa, std::move(question), item.where("answers"));
  }
}

void read_squad_article(const JsonObject& article, const std::string& path,
                        DocumentNumbers& numbers, QaDocuments& qa) {
  const Json& paragraphs = array_of(article, "paragraphs");
  std::vector<std::string> paths;
  std::vector<int64_t> documents;
  for (size_t i = 0; i < paragraphs.size(); ++i) {
    paths.push_back(element(path + ".paragraphs", i));
    const JsonObject paragraph(paragraphs[i], article.source(), paths[i]);
    documents.push_back(numbers.number(paragraph.string("context")));
  }
  for (size_t i = 0; i < paragraphs.size(); ++i) {
    const JsonObject paragraph(paragraphs[i], article.source(), paths[i]);
    read_squad_paragraph(paragraph, paths[i], documents[i], documents, qa);
  }
}

}  // namespace

QaDocuments read_squad(const fs::path& path) {
  const std::string source = path.string();
  const Json json = parse_json(read_file(path), source);
  QaDocuments qa;
  DocumentNumbers numbers(qa);
  const JsonObject root(json, source);
  const Json& articles = array_of(root, "data");
  for (size_t i = 0; i < articles.size(); ++i) {
    const std::string article_path = element("data", i);
    read_squad_article(JsonObject(articles[i], source, article_path), article_path, numbers, qa);
  }
  check_questions(qa, path);
  return qa;
}

QaDocuments read_hotpotqa(const fs::path& path) {
  const std::string source = path.string();
  const Json json = parse_json(read_file(path), source);
  LG_CHECK(json.is_array(), source, ": expected an array of questions, found ", json.type_name(),
           ".");
  QaDocuments qa;
  DocumentNumbers numbers(qa);
  for (size_t i = 0; i < json.size(); ++i) {
    const JsonObject item(json[i], source, element("", i));
    QaQuestion question = {item.string("question"), {item.string("answer")}, {}, {}};
    for (const Json& pair : array_of(item, "context")) {
      LG_CHECK(pair.is_array() && pair.size() == 2 && pair[1].is_array(), item.where("context"),
               ": expected pairs of a title and its sentences, found another value.");
      std::string document = text_of(pair[0], item.where("context")) + "\n";
      for (const Json& sentence : pair[1]) document += text_of(sentence, item.where("context"));
      question.needed.push_back(numbers.number(document));
    }
    LG_CHECK(!question.needed.empty(), item.where("context"),
             ": expected at least one document, found none.");
    add_question(qa, std::move(question), item.where("answer"));
  }
  check_questions(qa, path);
  return qa;
}

QaDocuments read_oracle_lines(const fs::path& path) {
  QaDocuments qa;
  DocumentNumbers numbers(qa);
  for_each_line(path, [&](std::string_view line, const std::string& where) {
    const Json json = parse_json(line, where);
    const JsonObject item(json, where);
    const std::string document = item.string("title") + "\n" + item.string("text");
    QaQuestion question = {item.string("question"), {}, {numbers.number(document)}, {}};
    for (const Json& answer : array_of(item, "answers")) {
      question.answers.push_back(text_of(answer, item.where("answers")));
    }
    add_question(qa, std::move(question), item.where("answers"));
  });
  check_questions(qa, path);
  return qa;
}

}  // namespace longgen
