// train/log/crc32c.h: the checksum of TFRecord files.
#pragma once

#include <cstdint>
#include <string_view>

namespace longgen {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of the bytes.
uint32_t crc32c(std::string_view bytes);

/// The form in which TFRecord stores it: rotated right by 15 bits plus a constant, so that the
/// checksum of data that holds checksums stays meaningful.
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace longgen
