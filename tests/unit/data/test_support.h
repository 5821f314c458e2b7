// What the tests of data/ share: compressed files, a tokenizer of bytes.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/prepare.h"
#include "longgen/data/token_dataset.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {

inline std::string gzip(const std::string& text) {
  z_stream state{};
  deflateInit2(&state, 6, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, text.size()) + 64, '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&state, Z_FINISH), Z_STREAM_END);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

inline std::string zstd(const std::string& text, int window_log = 0) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  }
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer input{text.data(), text.size(), 0};
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  // The text is streamed because the whole-buffer call would shrink the window to it.
  EXPECT_FALSE(ZSTD_isError(ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue)));
  EXPECT_EQ(ZSTD_compressStream2(context, &output, &input, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  out.resize(output.pos);
  return out;
}

inline constexpr int32_t kEndId = 256;

/// Makes an encoder of one token a byte, with kEndId after each document.
inline TextEncoder byte_encoder(int64_t vocab_size = 257) {
  TextEncoder encoder;
  encoder.encode = [](std::string_view text) {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  };
  encoder.encode_places = [encode = encoder.encode](std::string_view text,
                                                    std::vector<ByteRange>& places) {
    for (size_t i = 0; i < text.size(); ++i) places.push_back({i, i + 1});
    return encode(text);
  };
  encoder.vocab_size = vocab_size;
  encoder.end_id = kEndId;
  encoder.name = "bytes";
  encoder.hash = "0123456789abcdef";
  return encoder;
}

/// Returns the text of every document of a byte_encoder() dataset; checks the end token.
inline std::vector<std::string> texts_of(const TokenDataset& dataset) {
  std::vector<std::string> texts;
  for (int64_t i = 0; i < dataset.num_documents(); ++i) {
    const std::vector<int32_t> tokens = dataset.tokens(i);
    EXPECT_EQ(tokens.back(), kEndId);
    std::string text;
    for (size_t t = 0; t + 1 < tokens.size(); ++t) text += static_cast<char>(tokens[t]);
    texts.push_back(text);
  }
  return texts;
}

class DataTest : public FolderTest {
 protected:
  PrepareOptions options(std::vector<fs::path> inputs) {
    PrepareOptions options;
    options.inputs = std::move(inputs);
    options.output = dir_ / "out";
    options.held_out_share = 0;
    options.show_progress = false;
    options.replace = true;
    options.num_threads = 2;
    return options;
  }

  /// Returns the documents that prepare finds in the files, in order.
  std::vector<std::string> documents(std::vector<fs::path> inputs) {
    prepare_dataset(byte_encoder(), options(std::move(inputs)));
    return texts_of(TokenDataset::open(dir_ / "out", kTrainSplit, true));
  }

  std::string prepare_error(std::vector<fs::path> inputs) {
    return error_of([&] { prepare_dataset(byte_encoder(), options(std::move(inputs))); });
  }

  /// Lists the names in the test's folder, hidden ones too.
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

using Texts = std::vector<std::string>;

}  // namespace longgen
