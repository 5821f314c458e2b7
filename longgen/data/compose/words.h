// data/compose/words.h: what names and values of composed tasks are made of.
#pragma once

#include <array>
#include <string_view>

namespace longgen {

// clang-format off
inline constexpr auto kFirstNames = std::to_array<std::string_view>({
    "Adela", "Alwin", "Amadou", "Anneke", "Arkady", "Beatrix", "Benedikt", "Bohdan", "Cecily", "Ciaran",
    "Cosima", "Dagny", "Darius", "Delphine", "Edmund", "Eluned", "Emeka", "Farida", "Fergus", "Florian",
    "Gisela", "Goran", "Hamid", "Hedwig", "Ignatius", "Ilse", "Imogen", "Ivo", "Jadwiga", "Jorunn",
    "Kasimir", "Keiko", "Lavinia", "Leopold", "Lucasta", "Magnus", "Mireille", "Naveen", "Nerys", "Octavia",
    "Oswin", "Pernille", "Piers", "Quirin", "Rafaela", "Roderick", "Rosalba", "Sanjay", "Saskia", "Severin",
    "Sunniva", "Tancred", "Tamsin", "Tobias", "Ulrika", "Valentin", "Vesna", "Wilhelm", "Winifred", "Xenia",
    "Yusuf", "Yvaine", "Zdenka", "Zoltan"});

inline constexpr auto kSurnames = std::to_array<std::string_view>({
    "Abendroth", "Achterberg", "Alderwick", "Baptiste", "Barraclough", "Bellweather", "Bjornstad", "Cadwallon",
    "Castellane", "Chaudhry", "Colquhoun", "Dandridge", "Delacourt", "Drummondson", "Eberhart", "Ekholm",
    "Fairbrass", "Featherly", "Fontaine", "Galbraithe", "Gudmundsen", "Hallorann", "Harcastle", "Hollenbeck",
    "Ivanenko", "Jellicoe", "Kalinowski", "Kettering", "Kurosawa", "Lampeter", "Lindqvist", "Lovelock",
    "Macready", "Marchbanks", "Montefiore", "Nakagawa", "Nethercott", "Oakhampton", "Okonjo", "Oyelaran",
    "Pargeter", "Pemberly", "Petrosyan", "Quillfeather", "Rautavaara", "Ravensworth", "Rosencrantz", "Sandringham",
    "Schoonmaker", "Silvestre", "Stavropol", "Szymborski", "Tanqueray", "Thistlewood", "Tregarthen", "Underhay",
    "Vandermeer", "Venkatesan", "Wetherall", "Whitlockson", "Wolstenholme", "Yarborough", "Zamorano", "Zieglarz"});

inline constexpr auto kPlaceStarts = std::to_array<std::string_view>({
    "Alder", "Ashen", "Barrow", "Birken", "Brack", "Calder", "Corven", "Dunmar", "Elden", "Fenwick",
    "Garrow", "Glas", "Harrow", "Hollin", "Inver", "Karls", "Lang", "Lorren", "Marl", "Mersen",
    "Norring", "Oster", "Pellan", "Quern", "Raven", "Rothen", "Salter", "Skarn", "Tarn", "Thorn",
    "Ulver", "Varden", "Wick", "Wolden", "Yar", "Zeller"});

inline constexpr auto kPlaceEnds = std::to_array<std::string_view>({
    "beck", "borough", "bourne", "by", "combe", "dale", "feld", "firth", "gard", "ham",
    "haven", "holm", "hurst", "keld", "leigh", "mere", "minster", "moor", "mouth", "ness",
    "quay", "rigg", "stead", "stoke", "thorpe", "vik", "wath", "worth"});

inline constexpr auto kItemQualities = std::to_array<std::string_view>({
    "alabaster", "bevelled", "blackened", "brass", "carved", "chequered", "cracked", "dented", "ebony",
    "enamelled", "engraved", "filigree", "gilded", "green-glass", "inlaid", "ironbound", "ivory", "jade",
    "lacquered", "leather-bound", "mahogany", "moth-eaten", "onyx", "painted", "pearl-handled", "pewter",
    "porcelain", "quilted", "red-ribboned", "riveted", "rosewood", "scorched", "soapstone", "striped",
    "tarnished", "three-legged", "walnut-cased", "waxed"});

inline constexpr auto kItems = std::to_array<std::string_view>({
    "abacus", "almanac", "astrolabe", "atlas", "barometer", "bassoon", "bellows", "birdcage", "bookcase",
    "casket", "celesta", "chess set", "chronometer", "clavichord", "compass", "decanter", "dulcimer",
    "field glass", "globe", "harpsichord", "hourglass", "hymnal", "inkstand", "jewel box", "letter opener",
    "lorgnette", "mandolin", "metronome", "music box", "paperweight", "pendulum", "pocket watch", "psalter",
    "quadrant", "reliquary", "samovar", "sextant", "snuffbox", "spyglass", "sundial", "tabernacle",
    "tapestry", "telescope", "theodolite", "triptych", "weathervane", "writing desk", "zither"});

inline constexpr auto kShipKinds = std::to_array<std::string_view>({
    "brig", "cutter", "barque", "schooner", "ketch", "lugger", "packet", "sloop"});

inline constexpr auto kGoods = std::to_array<std::string_view>({
    "barrels of salt", "bales of flax", "casks of vinegar", "chests of tea", "coils of hemp rope",
    "crates of oranges", "jars of molasses", "kegs of nails", "planks of larch", "rolls of sailcloth",
    "sacks of barley", "tons of slate", "tubs of butter", "boxes of candles"});

inline constexpr auto kOptionParts = std::to_array<std::string_view>({
    "archive", "backlog", "batch", "cache", "cluster", "digest", "drain", "export", "flush", "gateway",
    "heartbeat", "index", "journal", "lease", "mirror", "node", "pager", "quorum", "replica", "retry",
    "shard", "snapshot", "spool", "stage", "sweep", "ticket", "uplink", "worker"});

inline constexpr auto kOptionEnds = std::to_array<std::string_view>({
    "budget", "ceiling", "delay", "depth", "floor", "interval", "limit", "margin", "quota", "window"});

inline constexpr auto kColours = std::to_array<std::string_view>({
    "azure", "carmine", "cobalt", "cream", "indigo", "jet", "lilac", "maroon", "ochre", "olive",
    "russet", "saffron", "sepia", "teal", "umber", "vermilion"});

inline constexpr auto kAnimals = std::to_array<std::string_view>({
    "adder", "bittern", "bullfinch", "caribou", "cormorant", "curlew", "dormouse", "egret", "ermine",
    "gannet", "grayling", "heron", "ibex", "jackdaw", "kestrel", "lapwing", "leveret", "lynx", "marten",
    "nightjar", "osprey", "plover", "ptarmigan", "sandpiper", "sturgeon", "tortoise", "wagtail", "weasel"});

inline constexpr auto kMonths = std::to_array<std::string_view>({
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December"});

// What coined names begin, go on and end with.
inline constexpr auto kCoinedStarts = std::to_array<std::string_view>({
    "Bra", "Cor", "Dre", "Fal", "Gri", "Hes", "Jor", "Kel", "Lum", "Mor", "Nev", "Oth", "Pel", "Qua",
    "Ruv", "Sel", "Tov", "Ulm", "Ves", "Wex", "Yor", "Zan"});

inline constexpr auto kCoinedMiddles = std::to_array<std::string_view>({
    "a", "adi", "ali", "e", "eni", "eri", "i", "imo", "o", "oli", "ori", "u", "una"});

inline constexpr auto kCoinedEnds = std::to_array<std::string_view>({
    "bex", "dun", "fax", "gor", "k", "lith", "mund", "n", "quin", "rel", "sk", "th", "van", "x", "zor"});
// clang-format on

}  // namespace longgen
