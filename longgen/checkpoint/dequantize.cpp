#include "longgen/checkpoint/dequantize.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/checkpoint/half.h"

namespace longgen {
namespace {

static_assert(std::endian::native == std::endian::little, "the formats are read in place");

using Byte = unsigned char;

template <typename T>
T load(const Byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

float load_f16(const Byte* at) { return f16_to_f32(load<uint16_t>(at)); }

void f32_block(const Byte* in, float* out) { *out = load<float>(in); }

void f16_block(const Byte* in, float* out) { *out = load_f16(in); }

void bf16_block(const Byte* in, float* out) { *out = bf16_to_f32(load<uint16_t>(in)); }

// The 32-element formats. Byte i of the packed 4-bit values holds element i in its low half and
// element i + 16 in its high half; a fifth bit of element i is bit i of a 32-bit word.
// _0 formats are d * (q - offset), _1 formats d * q + m.

void q8_0_block(const Byte* in, float* out) {
  const float d = load_f16(in);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
}

void q4_0_block(const Byte* in, float* out) {
  const float d = load_f16(in);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((in[2 + i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((in[2 + i] >> 4) - 8);
  }
}

void q4_1_block(const Byte* in, float* out) {
  const float d = load_f16(in), m = load_f16(in + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(in[4 + i] & 15) + m;
    out[i + 16] = d * static_cast<float>(in[4 + i] >> 4) + m;
  }
}

void q5_0_block(const Byte* in, float* out) {
  const float d = load_f16(in);
  const auto fifth = load<uint32_t>(in + 2);
  for (int i = 0; i < 16; ++i) {
    const int low = (in[6 + i] & 15) | static_cast<int>((fifth >> i & 1) << 4);
    const int high = (in[6 + i] >> 4) | static_cast<int>((fifth >> (i + 16) & 1) << 4);
    out[i] = d * static_cast<float>(low - 16);
    out[i + 16] = d * static_cast<float>(high - 16);
  }
}

void q5_1_block(const Byte* in, float* out) {
  const float d = load_f16(in), m = load_f16(in + 2);
  const auto fifth = load<uint32_t>(in + 4);
  for (int i = 0; i < 16; ++i) {
    const int low = (in[8 + i] & 15) | static_cast<int>((fifth >> i & 1) << 4);
    const int high = (in[8 + i] >> 4) | static_cast<int>((fifth >> (i + 16) & 1) << 4);
    out[i] = d * static_cast<float>(low) + m;
    out[i + 16] = d * static_cast<float>(high) + m;
  }
}

// The 256-element formats: scales of their own for each 32 (Q4_K, Q5_K) or 16 (Q6_K) elements.

/// Scale and minimum of the 8 groups, 6 bits each, packed into 12 bytes: groups 0 to 3 lie in the
/// low 6 bits of bytes 0 to 3 (scales) and 4 to 7 (minimums); groups 4 to 7 have their low 4 bits
/// in the halves of bytes 8 to 11 and their high 2 bits above those of groups 0 to 3.
struct GroupScales {
  std::array<float, 8> scale, minimum;

  explicit GroupScales(const Byte* packed) {
    for (int g = 0; g < 4; ++g) {
      const Byte* const s = packed + g;
      scale[g] = static_cast<float>(s[0] & 63);
      minimum[g] = static_cast<float>(s[4] & 63);
      scale[g + 4] = static_cast<float>((s[8] & 15) | (s[0] >> 6 << 4));
      minimum[g + 4] = static_cast<float>((s[8] >> 4) | (s[4] >> 6 << 4));
    }
  }
};

void q4_k_block(const Byte* in, float* out) {
  const float d = load_f16(in), d_minimum = load_f16(in + 2);
  const GroupScales groups(in + 4);
  const Byte* const packed = in + 16;
  for (int g = 0; g < 8; ++g) {
    const float scale = d * groups.scale[g], minimum = d_minimum * groups.minimum[g];
    const int shift = g % 2 * 4;  // two groups share 32 bytes
    for (int i = 0; i < 32; ++i) {
      const int q = packed[g / 2 * 32 + i] >> shift & 15;
      out[g * 32 + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void q5_k_block(const Byte* in, float* out) {
  const float d = load_f16(in), d_minimum = load_f16(in + 2);
  const GroupScales groups(in + 4);
  const Byte* const fifth = in + 16;  // bit g of byte i belongs to element i of group g
  const Byte* const packed = in + 48;
  for (int g = 0; g < 8; ++g) {
    const float scale = d * groups.scale[g], minimum = d_minimum * groups.minimum[g];
    const int shift = g % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int q = (packed[g / 2 * 32 + i] >> shift & 15) | (fifth[i] >> g & 1) << 4;
      out[g * 32 + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void q6_k_block(const Byte* in, float* out) {
  const Byte* const low = in;         // 4 bits an element
  const Byte* const high = in + 128;  // 2 bits an element
  const Byte* const scales = in + 192;
  const float d = load_f16(in + 208);
  for (int g = 0; g < 16; ++g) {  // 16 elements each; 8 groups share 64 low and 32 high bytes
    const int half = g / 8, quarter = g / 2 % 4, side = g % 2 * 16;
    const Byte* const l = low + half * 64 + quarter % 2 * 32 + side;
    const Byte* const h = high + half * 32 + side;
    const int low_shift = quarter / 2 * 4, high_shift = quarter * 2;
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[g]));
    for (int i = 0; i < 16; ++i) {
      const int q = (l[i] >> low_shift & 15) | (h[i] >> high_shift & 3) << 4;
      out[g * 16 + i] = scale * static_cast<float>(q - 32);
    }
  }
}

/// The block function is a template argument so that the one-element formats become plain loops.
template <void (*Block)(const Byte*, float*), int64_t kElements, int64_t kBytes>
void expand(const Byte* in, int64_t num_blocks, float* out) {
  for (int64_t i = 0; i < num_blocks; ++i) Block(in + i * kBytes, out + i * kElements);
}

struct Expander {
  GgmlType type;
  void (*expand)(const Byte* in, int64_t num_blocks, float* out);
};

constexpr std::array kExpanders = {
    Expander{GgmlType::f32, expand<f32_block, 1, 4>},
    Expander{GgmlType::f16, expand<f16_block, 1, 2>},
    Expander{GgmlType::bf16, expand<bf16_block, 1, 2>},
    Expander{GgmlType::q8_0, expand<q8_0_block, 32, 34>},
    Expander{GgmlType::q4_0, expand<q4_0_block, 32, 18>},
    Expander{GgmlType::q4_1, expand<q4_1_block, 32, 20>},
    Expander{GgmlType::q5_0, expand<q5_0_block, 32, 22>},
    Expander{GgmlType::q5_1, expand<q5_1_block, 32, 24>},
    Expander{GgmlType::q4_k, expand<q4_k_block, 256, 144>},
    Expander{GgmlType::q5_k, expand<q5_k_block, 256, 176>},
    Expander{GgmlType::q6_k, expand<q6_k_block, 256, 210>},
};

const Expander* find_expander(GgmlType type) {
  for (const Expander& expander : kExpanders) {
    if (expander.type == type) return &expander;
  }
  return nullptr;
}

std::string supported_list() {
  std::string list;
  for (const Expander& expander : kExpanders) {
    list += list.empty() ? "" : ", ";
    list += ggml_type_name(expander.type);
  }
  return list;
}

}  // namespace

bool can_dequantize(GgmlType type) { return find_expander(type) != nullptr; }

void dequantize(GgmlType type, std::string_view bytes, std::span<float> out) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  const Expander* const expander = find_expander(type);
  LG_CHECK(expander != nullptr, "[dequantize] tensor type ", info.name,
           " is not supported. Supported: ", supported_list(), ".");
  const auto num_elements = static_cast<int64_t>(out.size());
  const int64_t num_blocks = num_elements / info.block_elements;
  LG_CHECK(num_elements % info.block_elements == 0, "[dequantize] ", num_elements,
           " elements are not a whole number of ", info.name, " blocks of ", info.block_elements,
           ".");
  LG_CHECK(static_cast<int64_t>(bytes.size()) == num_blocks * info.block_bytes, "[dequantize] ",
           num_elements, " elements of ", info.name, " take ", num_blocks * info.block_bytes,
           " bytes, found ", bytes.size(), ".");
  expander->expand(reinterpret_cast<const Byte*>(bytes.data()), num_blocks, out.data());
}

}  // namespace longgen
