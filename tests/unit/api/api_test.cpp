// longgen.h, as a program calls it. tests/e2e/library_test.py compares it with the program.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <thread>

#include "longgen/api/longgen.h"
#include "longgen/base/log.h"
#include "longgen/model/model_directory.h"
#include "tests/unit/engine/tiny_decoder.h"

namespace longgen {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

class ApiTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    const TinyDecoder model;
    save_model(dir_, model.config, model.weights, at::kFloat);
    Json tokenizer = byte_level_json();
    tokenizer["added_tokens"][0]["id"] = 265;
    write_file(dir_ / "tokenizer.json", tokenizer.dump());
    write_file(dir_ / "tokenizer_config.json", Json{{"chat_template", kTemplate}}.dump());
  }

  Model open() const { return Model(dir_.string(), {.dtype = "float32"}); }
};

const std::string kPrompt = "hello hello, this is a text";
/// Returns the first character of a text, whose bytes after the first one begin with 10.
std::string first_character(const std::string& text) {
  size_t end = 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return text.substr(0, end);
}

const GenerationOptions kShort = {.max_tokens = 12, .ignore_eos = true};

TEST_F(ApiTest, FactsAreThoseOfTheDirectory) {
  const Model model = open();
  EXPECT_EQ(model.directory(), dir_.string());
  EXPECT_EQ(model.dtype(), "float32");
  const ModelFacts& facts = model.facts();
  EXPECT_EQ(facts.family, "llama");
  EXPECT_EQ(facts.num_layers, 3);
  EXPECT_EQ(facts.full_layers, std::vector<int64_t>{1});
  EXPECT_TRUE(facts.is_hybrid);
  EXPECT_EQ(facts.width, 96);
  EXPECT_EQ(facts.vocab_size, 266);
  EXPECT_EQ(facts.context, 512);
  EXPECT_EQ(facts.original_context, 512);
  EXPECT_EQ(facts.num_parameters, TinyDecoder().config.num_parameters());
}

TEST_F(ApiTest, SpecialTokensAreReadOnlyWhereAskedFor) {
  const Model model = open();
  EXPECT_EQ(model.encode("<|end|>", SpecialTokens::spelled), std::vector<int32_t>{265});
  EXPECT_EQ(model.encode("<|end|>", SpecialTokens::around).size(), 7);
  EXPECT_EQ(model.decode({104, 105, 265}), "hi");
  EXPECT_TRUE(contains(error_of([&] { model.decode({266}); }), "266"));
}

TEST_F(ApiTest, TextComesInPartsAndTheSameOptionsGiveTheSameText) {
  const Model model = open();
  Generator generator(model);
  std::string streamed;
  GenerationOptions options = kShort;
  options.on_text = [&](std::string_view part) {
    EXPECT_FALSE(part.empty());
    streamed += part;
    return true;
  };
  const Generation first = generator.generate(kPrompt, options);
  EXPECT_EQ(streamed, first.text);
  EXPECT_EQ(first.tokens.size(), 12);
  EXPECT_EQ(first.end, GenerationEnd::length);
  EXPECT_EQ(first.prompt_tokens, static_cast<int64_t>(model.encode(kPrompt).size()));
  EXPECT_GT(first.kv_cache_bytes, 0);
  EXPECT_GE(first.full_kv_cache_bytes, first.kv_cache_bytes);
  EXPECT_EQ(generator.generate(model.encode(kPrompt), kShort).tokens, first.tokens);

  GenerationOptions drawn = kShort;
  drawn.temperature = 2;
  drawn.seed = 7;
  const Generation once = generator.generate(kPrompt, drawn);
  EXPECT_EQ(Generator(model, 3).generate(kPrompt, drawn).tokens.size(), 12);
  EXPECT_EQ(Generator(model).generate(kPrompt, drawn).tokens, once.tokens);
  drawn.seed = 8;
  EXPECT_NE(generator.generate(kPrompt, drawn).tokens, once.tokens);
}

TEST_F(ApiTest, AGenerationEndsWhereItIsTold) {
  Generator generator(open());
  const Generation whole = generator.generate(kPrompt, kShort);

  GenerationOptions options = kShort;
  options.stop_tokens = {whole.tokens[4]};
  const Generation at_token = generator.generate(kPrompt, options);
  EXPECT_EQ(at_token.end, GenerationEnd::stop_token);
  EXPECT_LE(at_token.tokens.size(), 5);
  EXPECT_EQ(at_token.tokens.back(), whole.tokens[4]);

  options = kShort;
  options.stop = {first_character(whole.text)};
  const Generation at_text = generator.generate(kPrompt, options);
  EXPECT_EQ(at_text.end, GenerationEnd::stop_string);
  EXPECT_EQ(at_text.text, "");

  options = kShort;
  options.on_text = [](std::string_view) { return false; };
  const Generation cancelled = generator.generate(kPrompt, options);
  EXPECT_EQ(cancelled.end, GenerationEnd::cancelled);
  EXPECT_LT(cancelled.tokens.size(), 12);
  EXPECT_TRUE(whole.text.starts_with(cancelled.text));

  options = kShort;
  options.on_prompt = [](int64_t done, int64_t all) { return done > all; };
  const Generation unread = generator.generate(kPrompt, options);
  EXPECT_EQ(unread.end, GenerationEnd::cancelled);
  EXPECT_TRUE(unread.tokens.empty());
}

TEST_F(ApiTest, AFailedCallLeavesTheGeneratorAsItWas) {
  Generator generator(open());
  const Generation whole = generator.generate(kPrompt, kShort);
  GenerationOptions options = kShort;
  options.on_text = [](std::string_view) -> bool { throw std::domain_error("mine"); };
  EXPECT_THROW(generator.generate(kPrompt, options), std::domain_error);
  EXPECT_EQ(generator.generate(kPrompt, kShort).tokens, whole.tokens);
}

TEST_F(ApiTest, SeveralThreadsUseOneModel) {
  const Model model = open();
  const std::vector<int32_t> expected = Generator(model).generate(kPrompt, kShort).tokens;
  std::vector<std::vector<int32_t>> tokens(4);
  std::vector<std::thread> threads;
  for (std::vector<int32_t>& result : tokens) {
    threads.emplace_back([&] {
      Generator generator(model);
      for (int i = 0; i < 3; ++i) result = generator.generate(kPrompt, kShort).tokens;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int32_t>& result : tokens) EXPECT_EQ(result, expected);
}

TEST_F(ApiTest, AGeneratorKeepsItsModelAlive) {
  std::optional<Model> model = open();
  Generator generator(*model);
  const Generation before = generator.generate(kPrompt, kShort);
  model.reset();
  EXPECT_EQ(generator.generate(kPrompt, kShort).tokens, before.tokens);
}

TEST_F(ApiTest, AConversationKeepsItsMessagesAndReadsOnlyWhatIsNew) {
  const Model model = open();
  Conversation conversation(model, {.system = "brief"});
  const Generation first = conversation.ask("hello", kShort);
  EXPECT_EQ(first.prompt_tokens,
            static_cast<int64_t>(model.encode("<system>brief</><user>hello</><assistant>").size()));
  // The same as the rendered text, continued.
  EXPECT_EQ(Generator(model).generate("<system>brief</><user>hello</><assistant>", kShort).tokens,
            first.tokens);
  EXPECT_EQ(conversation.num_tokens(), first.prompt_tokens + 12);
  const std::vector<Message> messages = conversation.messages();
  ASSERT_EQ(messages.size(), 3);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "hello");
  EXPECT_EQ(messages[2].role, "assistant");
  EXPECT_EQ(messages[2].content, first.text);

  GenerationOptions cancelled = kShort;
  cancelled.on_prompt = [](int64_t, int64_t) { return false; };
  EXPECT_TRUE(conversation.ask("and?", cancelled).tokens.empty());
  EXPECT_EQ(conversation.messages().size(), 3);
  conversation.reset();
  EXPECT_EQ(conversation.messages().size(), 1);
  EXPECT_EQ(conversation.ask("hello", kShort).tokens, first.tokens);
}

TEST_F(ApiTest, ScoresAreTheSameForTextAndTokens) {
  const Model model = open();
  Scorer scorer(model, {.top = 2});
  const TextScores scores = scorer.score(kPrompt);
  EXPECT_EQ(scores.tokens, model.encode(kPrompt, SpecialTokens::none));
  ASSERT_EQ(scores.logprobs.size(), scores.tokens.size() - 1);
  ASSERT_EQ(scores.top.size(), scores.logprobs.size());
  double sum = 0;
  for (size_t i = 0; i < scores.logprobs.size(); ++i) {
    EXPECT_LT(scores.logprobs[i], 0);
    ASSERT_EQ(scores.top[i].size(), 2);
    EXPECT_GE(scores.top[i][0].second, scores.top[i][1].second);
    sum += scores.logprobs[i];
  }
  EXPECT_EQ(scores.sum(), sum);
  EXPECT_EQ(scorer.score(scores.tokens).logprobs, scores.logprobs);
  EXPECT_TRUE(scorer.score("").tokens.empty());
  // The most probable next token is the one that is generated.
  const Generation next = Generator(model).generate(scores.tokens, {.max_tokens = 1});
  std::vector<int32_t> longer = scores.tokens;
  longer.push_back(next.tokens[0]);
  const TextScores of_longer = scorer.score(longer);
  EXPECT_EQ(of_longer.top.back()[0].first, next.tokens[0]);
}

TEST_F(ApiTest, ErrorsSayWhatWasExpected) {
  const std::string path = dir_.string();
  EXPECT_ERROR(Model(path + "/nowhere"), "nowhere");
  EXPECT_ERROR(Model(path, {.device = "gpu"}),
               "device: expected cpu, cuda or cuda:N, found \"gpu\".");
  EXPECT_ERROR(Model(path, {.dtype = "float16"}),
               "dtype: expected auto, float32 or bfloat16, found \"float16\".");
  EXPECT_ERROR(Model(path, {.threads = -1}),
               "threads: expected a number from 0 to 1024, found -1.");
  const Model model = open();
  Generator generator(model);
  EXPECT_ERROR(generator.generate(""), "the prompt has no tokens.");
  EXPECT_ERROR(generator.generate(std::vector<int32_t>{320}),
               "expected an id of the vocabulary (266 ids), found 320.");
  EXPECT_ERROR(generator.generate("a", {.top_p = 0}), "top");
  EXPECT_ERROR(generator.generate("a", {.stop_tokens = {266}}),
               "stop_tokens: expected tokens of the vocabulary, from 0 to 265, found 266.");
  EXPECT_ERROR(Generator(model, -1), "expected a chunk of at least 1 token, found -1.");
  EXPECT_ERROR(Conversation(model, {.template_variables = "[]"}),
               "template_variables: expected a JSON object, found [].");
  EXPECT_ERROR(Scorer(model, {.top = -1}), "top: expected at least 0, found -1.");
  fs::remove(dir_ / "tokenizer_config.json");
  EXPECT_ERROR(Conversation{model}, "has no chat template");
}

TEST_F(ApiTest, WarningsGoWhereTheProgramSays) {
  std::vector<std::string> warnings;
  set_warning_handler([&](const std::string& warning) { warnings.push_back(warning); });
  log_warning("a test");
  set_warning_handler({});
  EXPECT_EQ(warnings, std::vector<std::string>{"a test"});
  ::testing::internal::CaptureStderr();
  log_warning("another");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "warning: another\n");
}

}  // namespace
}  // namespace longgen
