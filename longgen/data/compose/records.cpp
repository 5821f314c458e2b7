// Tables and lists of several forms between the sentences, asked by key.
#include <algorithm>

#include "longgen/base/json.h"
#include "longgen/data/compose/question_writer.h"
#include "longgen/data/compose/record_wordings.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/compose/wording.h"

namespace longgen {
namespace {

constexpr int64_t kRowBytes = 75, kQuestionBytes = 130;
constexpr int64_t kMaxTables = 3, kMaxQuestions = 8, kMinRows = 3, kMaxRows = 48;

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::string> keys;                 // a name a row
  std::vector<std::vector<std::string>> fields;  // of each row, one a column
};

Table draw_table(int64_t num_rows, Draw& draw) {
  Table table;
  const std::string place = draw.fresh(Kind::place);
  table.title = fill(draw.pick(kRecordTitles), {{"place", place}});
  for (const size_t i : draw.choose(static_cast<size_t>(draw.between(2, 3)), kColumns.size())) {
    table.columns.push_back(kColumns[i]);
  }
  for (int64_t row = 0; row < num_rows; ++row) {
    table.keys.push_back(draw.fresh(Kind::person));
    table.fields.emplace_back();
    for (const Column& column : table.columns) {
      table.fields.back().push_back(draw.fresh(column.kind));
    }
  }
  return table;
}

/// Writes the rows, each as `before_key`, its key, its fields as field(i, column's name, value)
/// writes them, and `end`.
template <typename Field>
std::string lines_of(const Table& table, std::string_view before_key, const Field& field,
                     std::string_view end) {
  std::string text;
  for (size_t row = 0; row < table.keys.size(); ++row) {
    text.append(before_key).append(table.keys[row]);
    for (size_t i = 0; i < table.columns.size(); ++i) {
      text += field(i, std::string(table.columns[i].name), table.fields[row][i]);
    }
    text += end;
  }
  return text;
}

std::string as_markdown(const Table& table) {
  std::string head = "| name", rule = "|---";
  for (const Column& column : table.columns) {
    head.append(" | ").append(column.name);
    rule += "|---";
  }
  const auto field = [](size_t, const std::string&, const std::string& value) {
    return " | " + value;
  };
  return head + " |\n" + rule + "|\n" + lines_of(table, "| ", field, " |\n");
}

std::string as_semicolons(const Table& table) {
  std::string head = "name";
  for (const Column& column : table.columns) head.append(";").append(column.name);
  const auto field = [](size_t, const std::string&, const std::string& value) {
    return ";" + value;
  };
  return head + "\n" + lines_of(table, "", field, "\n");
}

std::string as_list(const Table& table) {
  const auto field = [](size_t i, const std::string& name, const std::string& value) {
    return (i == 0 ? ": " : ", ") + name + " " + value;
  };
  return lines_of(table, "- ", field, "\n");
}

std::string as_sections(const Table& table) {
  const auto field = [](size_t i, const std::string& name, const std::string& value) {
    return (i == 0 ? "]\n" : "\n") + name + " = " + value;
  };
  return lines_of(table, "[", field, "\n");
}

OrderedJson json_row(const Table& table, size_t row) {
  OrderedJson json = OrderedJson::object();
  for (size_t i = 0; i < table.columns.size(); ++i) {
    json[std::string(table.columns[i].name)] = table.fields[row][i];
  }
  return json;
}

std::string as_json_lines(const Table& table) {
  std::string text;
  for (size_t row = 0; row < table.keys.size(); ++row) {
    OrderedJson json = {{"name", table.keys[row]}};
    json.update(json_row(table, row));
    text += dump_json(json) + "\n";
  }
  return text;
}

std::string as_json_object(const Table& table) {
  std::string text = "{\n";
  for (size_t row = 0; row < table.keys.size(); ++row) {
    text += "  " + dump_json(Json(table.keys[row])) + ": " + dump_json(json_row(table, row));
    text += row + 1 < table.keys.size() ? ",\n" : "\n";
  }
  return text + "}\n";
}

using Form = std::string (*)(const Table&);
constexpr auto kForms = std::to_array<Form>(
    {as_markdown, as_semicolons, as_list, as_sections, as_json_lines, as_json_object});

Passage passage_of(const Table& table, Draw& draw) {
  std::string text = fill("{Title}:\n\n", {{"title", table.title}}) + draw.pick(kForms)(table);
  text.pop_back();  // the last line break
  return {std::move(text), true};
}

struct Cell {
  const Table* table;
  size_t row, column;
};

/// Asks for the cell's value, or whose it is.
void ask_about(const Cell& cell, Draw& draw, QuestionWriter& questions) {
  const Table& table = *cell.table;
  const std::string_view name = table.columns[cell.column].name;
  const std::string &key = table.keys[cell.row], &value = table.fields[cell.row][cell.column];
  if (draw.chance(70)) {
    questions.ask(
        fill(draw.pick(kFieldQuestions), {{"title", table.title}, {"column", name}, {"key", key}}),
        value);
  } else {
    questions.ask(fill(draw.pick(kReverseQuestions),
                       {{"title", table.title}, {"column", name}, {"value", value}}),
                  key);
  }
}

}  // namespace

std::optional<TaskText> make_records(const Scene& scene, Draw& draw) {
  const int64_t most_questions =
      std::clamp<int64_t>(scene.budget_bytes / (4 * kQuestionBytes), 1, kMaxQuestions);
  const int64_t num_questions = draw.between((most_questions + 1) / 2, most_questions);
  const int64_t room = (scene.budget_bytes - num_questions * kQuestionBytes) / kRowBytes;
  const int64_t most_tables = std::clamp<int64_t>(room / 8, 1, kMaxTables);
  const int64_t num_tables = draw.between(1, most_tables);
  const int64_t most_rows = std::clamp<int64_t>(room / num_tables, kMinRows, kMaxRows);
  TaskText task;
  std::vector<Table> tables;
  for (int64_t i = 0; i < num_tables; ++i) {
    tables.push_back(draw_table(draw.between((most_rows + 2) / 3, most_rows), draw));
    task.passages.push_back(passage_of(tables.back(), draw));
  }
  QuestionWriter questions(draw);
  std::vector<Cell> cells;
  for (const Table& table : tables) {
    for (size_t row = 0; row < table.keys.size(); ++row) {
      for (size_t i = 0; i < table.columns.size(); ++i) cells.push_back({&table, row, i});
    }
  }
  for (const size_t i : draw.choose(static_cast<size_t>(num_questions), cells.size())) {
    ask_about(cells[i], draw, questions);
  }
  task.questions = questions.finish();
  task.new_words = draw.drawn();
  return task;
}

}  // namespace longgen
