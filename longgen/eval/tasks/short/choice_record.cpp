#include "longgen/eval/tasks/short/choice_record.h"

#include "longgen/eval/suite/item_lines.h"

namespace longgen {

std::vector<ChoiceRecord> read_choice_records(const fs::path& file,
                                              const std::string& question_field,
                                              bool with_subject) {
  std::vector<ChoiceRecord> records;
  UniqueIds ids;
  for_each_item_line(file, [&](const JsonObject& line) {
    ChoiceRecord record;
    record.id = item_id(line, records.size());
    ids.add(record.id, line);
    if (with_subject) record.subject = line.string("subject");
    record.question = line.string(question_field);
    record.choices = item_texts(line, "choices", 2);
    record.gold = line.integer("gold", 0, static_cast<int64_t>(record.choices.size()) - 1);
    records.push_back(std::move(record));
  });
  return records;
}

}  // namespace longgen
