import COpenSSL
public import Primitives

/// MD5, only for PostgreSQL's old password method.
public enum MD5 {
    /// The digest of `first` followed by `second`, as 32 lower-case hexadecimal digits. `nil` when libcrypto
    /// refuses MD5 (FIPS mode): the caller answers as to a wrong password.
    public static func hex(_ first: ByteView, _ second: ByteView) -> [UInt8]? {
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(context) }
        var out = InlineArray<16, UInt8>(repeating: 0)
        var written: UInt32 = 0
        let done = withUnsafeMutableBytes(of: &out) { room in
            EVP_DigestInit_ex(context, EVP_md5(), nil) == 1
                && EVP_DigestUpdate(context, first.base, first.count) == 1
                && EVP_DigestUpdate(context, second.base, second.count) == 1
                && EVP_DigestFinal_ex(
                    context, room.baseAddress?.assumingMemoryBound(to: UInt8.self), &written) == 1
        }
        guard done, written == 16 else { return nil }
        var hex: [UInt8] = []
        hex.reserveCapacity(32)
        for index in 0..<16 {
            hex.append(digit(out[index] >> 4))
            hex.append(digit(out[index] & 15))
        }
        return hex
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x57 &+ value }
}
