#include "longgen/data/compose/composer.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/data/sentences.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

// The golden ratio's and the silver ratio's fraction, in units of 2^-64.
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u, kSilver = 0x6A09E667F3BCC908u;

// The text looked at, over what the length needs as far as pieces of it tell.
constexpr double kReach = 1.15;
// Pieces of the corpus after where a document is to end, in which a sentence surely ends.
constexpr size_t kTailBytes = 2 * static_cast<size_t>(kMaxSentenceBytes);

size_t character_begin(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
  return at;
}

/// Returns the entry in whose part of the shares, laid one after the other, the fraction lies, and
/// makes the fraction that of the part.
template <typename Entry>
const Entry& entry_at(const std::vector<Entry>& entries, double& fraction) {
  double total = 0;
  for (const Entry& entry : entries) total += entry.share;
  double left = fraction * total;
  for (const Entry& entry : entries) {
    fraction = left / entry.share;
    if (fraction < 1) return entry;
    left -= entry.share;
  }
  fraction = 0;
  return entries.back();
}

/// Whether the text has a word that the task's facts are to be known by.
bool holds_any(std::string_view text, const std::vector<std::string>& words) {
  return std::ranges::any_of(
      words, [&](const std::string& word) { return text.find(word) != std::string_view::npos; });
}

}  // namespace

Composer::Composer(const CorpusText& corpus, const TextEncoder& encoder, const ComposePlan& plan)
    : corpus_(corpus), counter_(encoder), plan_(plan) {
  LG_CHECK(!plan.lengths.empty() && !plan.tasks.empty(),
           "[compose] expected at least one length and one task, found none.");
  bytes_per_token_ = counter_.bytes_per_token(corpus.bytes());
  for (const auto& [num_tokens, share] : plan.lengths) {
    LG_CHECK(num_tokens >= kMinTokens && num_tokens <= kMaxTokens, "[compose] length: expected ",
             kMinTokens, " to ", kMaxTokens, " tokens, found ", num_tokens, ".");
    const auto needed = static_cast<double>(num_tokens) * bytes_per_token_ * kReach;
    LG_CHECK(needed + static_cast<double>(kTailBytes) < static_cast<double>(corpus.bytes().size()),
             "[compose] length: expected a corpus of about ",
             format_count(std::llround(static_cast<double>(num_tokens) * kReach)),
             " tokens at least for documents of ", format_count(num_tokens), ", found ",
             format_bytes(static_cast<int64_t>(corpus.bytes().size())), " of text, about ",
             format_count(static_cast<int64_t>(static_cast<double>(corpus.bytes().size()) /
                                               bytes_per_token_)),
             " tokens. Give more text or a smaller length.");
  }
}

Composer::Choice Composer::choice(int64_t index) const {
  const uint64_t bits = mix_pair(plan_.seed, 0) + static_cast<uint64_t>(index) * kGolden;
  double fraction = static_cast<double>(bits >> 11) * 0x1p-53;
  const LengthShare& length = entry_at(plan_.lengths, fraction);
  return {&length, &entry_at(plan_.tasks, fraction)};
}

int64_t Composer::length_of(int64_t index) const { return choice(index).length->num_tokens; }

const TaskKind& Composer::task_of(int64_t index) const { return *choice(index).task->kind; }

/// Cuts out the text before `end`, to the sentence that ends there or is the next to end.
std::optional<Scene> Composer::look(size_t end, int64_t num_tokens, const TaskKind& kind) const {
  const std::string_view corpus = corpus_.bytes();
  const auto length = static_cast<double>(num_tokens);
  // Texts differ from the corpus on average: a program takes more tokens than a story.
  const auto usual = static_cast<size_t>(length * bytes_per_token_);
  Scene scene;
  scene.bytes_per_token = counter_.bytes_per_token(
      corpus.substr(character_begin(corpus, end - std::min(end, usual)), usual));
  const double bytes = length * scene.bytes_per_token;
  const auto needed = static_cast<size_t>(bytes * kReach);
  const size_t begin = character_begin(corpus, end - std::min(end, needed));
  scene.text = corpus.substr(begin, character_begin(corpus, end + kTailBytes) - begin);
  scene.sentences = find_sentences(scene.text);
  if (!scene.sentences.empty() && end + kTailBytes < corpus.size()) {
    scene.sentences.pop_back();  // perhaps cut through
  }
  while (scene.sentences.size() > 1 && scene.sentences.end()[-2].end >= end - begin) {
    scene.sentences.pop_back();
  }
  if (scene.sentences.empty()) return std::nullopt;
  scene.text = scene.text.substr(0, scene.sentences.back().end);
  scene.budget_bytes = std::min(kind.max_bytes, static_cast<int64_t>(bytes / 4));
  const double sure = bytes * 0.93 - static_cast<double>(scene.budget_bytes) - 300;
  const size_t sure_bytes = sure > 0 ? static_cast<size_t>(sure) : 0;
  scene.sure_begin = scene.text.size() - std::min(sure_bytes, scene.text.size());
  return scene;
}

/// Returns a piece of the corpus that does not touch the scene, nothing where there is little else.
std::string_view Composer::elsewhere(const Scene& scene, Draw& draw) const {
  constexpr size_t kBytes = 8192;
  const std::string_view corpus = corpus_.bytes();
  const auto scene_begin = static_cast<size_t>(scene.text.data() - corpus.data());
  const size_t scene_end = scene_begin + scene.text.size();
  const size_t other = corpus.size() - scene.text.size();
  if (other < 3 * kBytes) return {};
  auto at = static_cast<size_t>(draw.between(0, static_cast<int64_t>(other - kBytes)));
  // Where the piece would cross the scene, it is the one right after it, or right before.
  if (at + kBytes > scene_begin) at += scene.text.size();
  if (at < scene_end && at + kBytes > scene_begin) {
    at = scene_end + kBytes <= corpus.size() ? scene_end : scene_begin - kBytes;
  }
  at = character_begin(corpus, at);
  return corpus.substr(at, character_begin(corpus, at + kBytes) - at);
}

std::optional<ComposedDocument> Composer::write(const Scene& scene, const TaskKind& kind,
                                                int64_t num_tokens, Draw& draw,
                                                std::string& problem) const {
  const std::optional<TaskText> task = kind.make(scene, draw);
  if (!task) {
    problem = "the text has too few sentences that can be quoted";
    return std::nullopt;
  }
  if (holds_any(scene.text, task->new_words)) {
    problem = "the text holds the names that were drawn";
    return std::nullopt;
  }
  return fit_document(scene, *task, num_tokens, counter_, draw, problem);
}

ComposedDocument Composer::compose(int64_t index) const {
  constexpr uint64_t kMaxAttempts = 24;
  const int64_t num_tokens = length_of(index);
  const TaskKind& kind = task_of(index);
  const size_t size = corpus_.bytes().size();
  const auto needed =
      static_cast<size_t>(static_cast<double>(num_tokens) * bytes_per_token_ * kReach);
  const size_t room = size - std::min(size, needed + kTailBytes);
  // With the length in it, documents of the same seed at two lengths tell of different things.
  const uint64_t key = mix_pair(mix_pair(plan_.seed, static_cast<uint64_t>(index)),
                                static_cast<uint64_t>(num_tokens));
  std::string problem;
  for (uint64_t attempt = 0; attempt < kMaxAttempts; ++attempt) {
    Draw draw(mix_pair(key, attempt));
    // The first attempt stands where the sequence says, the others anywhere.
    const uint64_t fraction = attempt == 0
                                  ? mix_pair(plan_.seed, 1) + static_cast<uint64_t>(index) * kSilver
                                  : mix_pair(key, ~attempt);
    const auto offset =
        static_cast<size_t>((static_cast<unsigned __int128>(fraction) * (room + 1)) >> 64);
    std::optional<Scene> scene = look(needed + offset, num_tokens, kind);
    if (!scene) continue;
    scene->elsewhere = elsewhere(*scene, draw);
    std::optional<ComposedDocument> document = write(*scene, kind, num_tokens, draw, problem);
    release_pages(scene->text);
    if (document) return *std::move(document);
  }
  LG_FAIL("[compose] document ", index, ", ", kind.name, " of ", format_count(num_tokens),
          " tokens: found none after ", kMaxAttempts, " attempts; at last ", problem,
          ". Give a greater length, another text, or leave out the task.");
}

}  // namespace longgen
