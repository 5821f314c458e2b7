// longgen score: log-probabilities of given texts, a JSON line each.
#include "longgen/engine/score.h"

#include <cstdio>
#include <memory>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/progress.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/json_lines.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"

namespace longgen {
namespace {

struct ScoreCommand {
  std::string model;
  ModelOptions model_options;
  int64_t top = 0, chunk = kDefaultPrefillChunk;
  bool special = false, quiet = false;
};

/// Writes nine digits, by which a float comes back as it was.
std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

std::vector<int32_t> read_ids(const JsonObject& line, const LoadedModel& model, bool special) {
  LG_CHECK(line.has("ids") != line.has("text"), line.source(),
           ": expected an object with either \"text\" or \"ids\".");
  if (line.has("text")) {
    return model.tokenizer.encode(line.string("text"),
                                  {.add_special_tokens = special, .parse_special = special});
  }
  std::vector<int32_t> ids;
  for (const int64_t id : line.integers("ids", 0, model.decoder.config().vocab_size - 1)) {
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

std::string result_line(const std::vector<int32_t>& ids, const TokenScores& scores, bool with_top) {
  std::string text = "{\"ids\":[";
  for (size_t i = 0; i < ids.size(); ++i) text += (i ? "," : "") + std::to_string(ids[i]);
  text += "],\"logprobs\":[";
  double sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) sum += scores.logprobs[i - 1];
    text += i == 0 ? "null" : "," + number(scores.logprobs[i - 1]);
  }
  text += "],\"sum\":" + number(sum);
  if (with_top) {
    text += ",\"top\":[";
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i == 0) {
        text += "null";
        continue;
      }
      text += ",[";
      for (const auto& [id, logprob] : scores.top[i - 1]) {
        if (text.back() != '[') text += ",";
        text += "[" + std::to_string(id) + "," + number(logprob) + "]";
      }
      text += "]";
    }
    text += "]";
  }
  return text + "}\n";
}

TokenScores score_line(Session& session, const std::vector<int32_t>& ids, const std::string& place,
                       const LoadedModel& model, const ScoreCommand& command) {
  ScoreOptions options{.top = command.top, .vocab_size = model.tokenizer.vocab_size()};
  if (command.quiet) return score_tokens(session, ids, options);
  Progress progress(place, static_cast<int64_t>(ids.size()), "tokens", kBarOfSlowWork);
  options.on_progress = [&progress](int64_t done) {
    progress.update(done);
    return true;
  };
  TokenScores scores = score_tokens(session, ids, options);
  progress.finish();
  return scores;
}

int score(const ScoreCommand& command) {
  const LoadedModel model = load_with_tokenizer(command.model, command.model_options);
  Session session(model.decoder, command.chunk);
  Output output;
  JsonLines lines([&output] { output.flush(); });
  while (const std::optional<Json> value = lines.next()) {
    const JsonObject line(*value, lines.place());
    const std::vector<int32_t> ids = read_ids(line, model, command.special);
    const TokenScores scores =
        ids.empty() ? TokenScores() : score_line(session, ids, lines.place(), model, command);
    output.write(result_line(ids, scores, command.top > 0));
  }
  output.flush();
  return 0;
}

}  // namespace

void add_score(CommandSet& commands) {
  auto command = std::make_shared<ScoreCommand>();
  CLI::App* const app = commands.add(
      CommandGroup::evaluation, "score",
      "JSON lines on stdin: {\"text\"} or {\"ids\"} to log-probabilities of each token");
  app->add_option("MODEL", command->model, "model directory")->required();
  add_count_option(app, "--top", command->top, 0,
                   "also give the K most probable tokens at each place")
      ->option_text("K");
  app->add_flag("--special", command->special,
                "add and recognise special tokens in texts, as in tokenize");
  add_prefill_chunk_option(app, command->chunk);
  add_model_options(app, command->model_options);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command] { return score(*command); });
}

}  // namespace longgen
