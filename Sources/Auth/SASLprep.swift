import Crypto
import Primitives

/// Prepares a password for SCRAM (RFC 4013), as far as it matters here.
///
/// ASCII stays as it is, and so do bytes that are not UTF-8 and text with prohibited characters: PostgreSQL's
/// rule. Of other text, spaces become U+0020 and invisible characters go. NFKC is left out, as its tables are
/// larger than this target: a *plain* stored password typed with decomposed accents or compatibility
/// characters needs a SCRAM secret instead.
enum SASLprep {
    static func prepare(_ password: ByteView) -> SecretBytes {
        if password.rawBuffer.allSatisfy({ $0 < 0x80 }) { return SecretBytes(password) }
        guard let text = String(validating: password.rawBuffer, as: UTF8.self) else {
            return SecretBytes(password)
        }
        var mapped = ByteBuffer()
        for scalar in text.unicodeScalars where !isMappedToNothing(scalar) {
            for byte in UTF8.encode(isSpace(scalar) ? " " : scalar) ?? UTF8.encodedReplacementCharacter {
                mapped.append(byte)
            }
            if isProhibited(scalar) { return SecretBytes(password) }
        }
        // A password that prepares to nothing is used as it is.
        return SecretBytes(mapped.isEmpty ? password : mapped.view)
    }

    /// RFC 3454, table C.1.2, and U+200B as PostgreSQL has it.
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xA0, 0x1680, 0x2000...0x200B, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// RFC 3454, table B.1.
    private static func isMappedToNothing(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xAD, 0x34F, 0x1806, 0x180B...0x180D, 0x200C, 0x200D, 0x2060, 0xFE00...0xFE0F, 0xFEFF: true
        default: false
        }
    }

    /// RFC 3454, tables C.2 to C.9 and A.1: what has no business in text, or was not there in Unicode 3.2, as
    /// most emoji. Asked of what `isSpace` and `isMappedToNothing` let by.
    private static func isProhibited(_ scalar: Unicode.Scalar) -> Bool {
        if isSpace(scalar) { return false }
        guard let age = scalar.properties.age, (age.major, age.minor) <= (3, 2) else { return true }
        switch scalar.value {
        case 0x340, 0x341, 0x2028, 0x2029, 0x2FF0...0x2FFB, 0xFFFC, 0xFFFD: return true
        default: return [.control, .format, .privateUse].contains(scalar.properties.generalCategory)
        }
    }
}
