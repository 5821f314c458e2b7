#include "longgen/data/compose/composer.h"

#include <cctype>
#include <map>

#include "longgen/data/sources.h"
#include "tests/unit/data/test_support.h"

namespace longgen {
namespace {

/// A token a word and the space before it, as most vocabularies have it; of long words one more for
/// each five letters.
TextEncoder word_encoder() {
  TextEncoder encoder;
  encoder.encode = [](std::string_view text) {
    std::vector<int32_t> ids;
    size_t letters = 0;
    for (const char c : text) {
      const bool space = c == ' ' || c == '\n';
      letters = space ? 0 : letters + 1;
      if (c == '\n' || letters % 5 == 1) ids.push_back(1);
    }
    return ids;
  };
  encoder.vocab_size = 2;
  encoder.begin_id = 0;
  encoder.end_id = 0;
  return encoder;
}

class ComposerTest : public FolderTest {
 protected:
  /// Writes a corpus of sentences that are all different.
  const CorpusText& corpus(int num_sentences) {
    std::string text;
    Draw draw(11);
    for (int i = 0; i < num_sentences; ++i) {
      text += "The sentence of number " + std::to_string(i);
      for (int64_t j = draw.between(2, 14); j > 0; --j) {
        text += " " + std::string(static_cast<size_t>(draw.between(1, 9)),
                                  static_cast<char>('a' + i % 26));
      }
      text += i % 7 == 6 ? ".\n\n" : i % 3 == 0 ? ".\n" : ". ";
    }
    corpus_ = std::make_unique<CorpusText>(expand_inputs({put("corpus.txt", text)}),
                                           CorpusText::Options{.show_progress = false}, dir_);
    return *corpus_;
  }

  static ComposePlan plan(std::vector<LengthShare> lengths) {
    ComposePlan plan{.lengths = std::move(lengths), .tasks = {}, .seed = 5};
    for (const TaskKind& kind : task_kinds()) plan.tasks.push_back({&kind, 1});
    return plan;
  }

  std::unique_ptr<CorpusText> corpus_;
};

TEST_F(ComposerTest, LengthsAreExactInTokens) {
  const CorpusText& text = corpus(6000);
  for (const TextEncoder& encoder : {byte_encoder(), word_encoder()}) {
    const bool bytes = encoder.vocab_size > 2;
    const ComposePlan lengths = plan({{bytes ? 4000 : 900, 1}, {bytes ? 30000 : 7000, 1}});
    const Composer composer(text, encoder, lengths);
    for (int64_t i = 0; i < 40; ++i) {
      const ComposedDocument document = composer.compose(i);
      const auto around = (encoder.begin_id ? 1 : 0) + (encoder.end_id ? 1 : 0);
      EXPECT_EQ(static_cast<int64_t>(encoder.encode(document.text).size()) + around,
                composer.length_of(i))
          << i;
    }
  }
}

TEST_F(ComposerTest, WithoutItsPassagesADocumentIsAPieceOfTheCorpus) {
  const CorpusText& text = corpus(6000);
  const TextEncoder encoder = byte_encoder();
  const ComposePlan lengths = plan({{20000, 1}});
  const Composer composer(text, encoder, lengths);
  for (int64_t i = 0; i < 20; ++i) {
    const ComposedDocument document = composer.compose(i);
    // The stretches before the passages stand in the corpus in this order; the last one goes over
    // into the questions.
    size_t at = 0, place = 0;
    for (const ByteRange& passage : document.passages) {
      std::string_view stretch = std::string_view(document.text).substr(at, passage.begin - at);
      for (const std::string_view dots : {"... ", "[...] "}) {
        if (at == 0 && stretch.starts_with(dots)) stretch.remove_prefix(dots.size());
      }
      while (!stretch.empty() && std::isspace(stretch.front())) stretch.remove_prefix(1);
      while (!stretch.empty() && std::isspace(stretch.back())) stretch.remove_suffix(1);
      place = text.bytes().find(stretch, place);
      ASSERT_NE(place, std::string_view::npos) << i << ": " << stretch;
      at = passage.end;
    }
    // They are spread over all of the text.
    if (document.passages.size() < 8) continue;
    EXPECT_LT(document.passages[document.passages.size() / 4].begin, document.text.size() / 2);
    EXPECT_GT(document.passages[document.passages.size() * 3 / 4].begin, document.text.size() / 2);
  }
}

TEST_F(ComposerTest, AnyFewDocumentsHaveAboutTheShares) {
  const CorpusText& text = corpus(3000);
  const TextEncoder encoder = word_encoder();
  const ComposePlan lengths = plan({{1000, 3}, {2000, 1}});
  const Composer composer(text, encoder, lengths);
  for (const int64_t from : {0, 1000}) {
    std::map<std::pair<int64_t, std::string_view>, int> counts;
    for (int64_t i = from; i < from + 72; ++i) {
      ++counts[{composer.length_of(i), composer.task_of(i).name}];
    }
    ASSERT_EQ(counts.size(), 12u);
    for (const auto& [cell, count] : counts) {
      EXPECT_NEAR(count, cell.first == 1000 ? 9 : 3, 1.5) << cell.first << cell.second;
    }
  }
}

TEST_F(ComposerTest, ACorpusThatIsTooShortIsRefused) {
  const CorpusText& text = corpus(40);
  const TextEncoder encoder = byte_encoder();
  const ComposePlan lengths = plan({{20000, 1}});
  EXPECT_NE(error_of([&] { Composer(text, encoder, lengths); })
                .find("[compose] length: expected a corpus of about 23,000 tokens at least for "
                      "documents of 20,000, found "),
            std::string::npos);
}

TEST_F(ComposerTest, DocumentsOfACorpusAreTrimmedAndDivided) {
  const std::vector<Source> sources =
      expand_inputs({put("a.txt", "\n \n  one \n<|endoftext|>\n \n<|endoftext|>\ntwo\nlines\n")});
  const CorpusText text(sources, {.show_progress = false}, dir_);
  EXPECT_EQ(text.bytes(), "  one\n\n***\n\ntwo\nlines");
  EXPECT_EQ(text.num_documents(), 2);
  EXPECT_FALSE(fs::exists(dir_ / "corpus.txt")) << "the scratch file is gone";
}

}  // namespace
}  // namespace longgen
