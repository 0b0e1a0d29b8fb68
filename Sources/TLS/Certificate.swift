import COpenSSL
import Primitives

/// What certificates say of their owners.
enum Certificate {
    /// The last common name of the subject; `nil` when there is none, or it has a zero byte inside, which
    /// would make two names of one.
    static func commonName(_ certificate: OpaquePointer) -> ByteString? {
        let subject = X509_get_subject_name(certificate)
        var place: Int32 = -1
        while true {
            let next = X509_NAME_get_index_by_NID(subject, NID_commonName, place)
            if next < 0 { break }
            place = next
        }
        guard place >= 0, let entry = X509_NAME_get_entry(subject, place),
            let string = X509_NAME_ENTRY_get_data(entry)
        else { return nil }
        var text: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&text, string)
        guard count > 0, let text else { return nil }
        defer { CRYPTO_free(text, #fileID, #line) }
        let bytes = Array(UnsafeBufferPointer(start: text, count: Int(count)))
        return bytes.contains(0) ? nil : ByteString(bytes)
    }

    /// Makes the handshake fail unless the server's certificate is for this name or address. Wildcards stand
    /// for one whole label; the common name counts where there are no alternative names (RFC 6125). `false`
    /// for what is neither name nor address.
    static func demand(_ server: ByteString, of stream: OpaquePointer) -> Bool {
        // The library takes nothing for anything, and a dot in front for any name below.
        guard let first = server.bytes.first, first != UInt8(ascii: "."), !server.bytes.contains(0) else {
            return false
        }
        if server.isAddress {
            return server.withCText { X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream), $0) } == 1
        }
        SSL_set_hostflags(stream, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        return server.withCText { SSL_set1_host(stream, $0) } == 1
    }

    /// The library looks for addresses among the alternative names only; older certificates have theirs as
    /// the common name.
    static func mayExcuse(_ verdict: OpaquePointer?) -> Bool {
        guard X509_STORE_CTX_get_error(verdict) == X509_V_ERR_IP_ADDRESS_MISMATCH,
            let certificate = X509_STORE_CTX_get_current_cert(verdict),
            X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1) < 0,
            let wanted = X509_VERIFY_PARAM_get1_ip_asc(X509_STORE_CTX_get0_param(verdict))
        else { return false }
        defer { CRYPTO_free(wanted, #fileID, #line) }
        return commonName(certificate) == ByteString(String(cString: wanted))
    }

    /// The certificate's digest with the algorithm of its signature, or SHA-256 in place of MD5 and SHA-1
    /// (RFC 5929); empty when the signature has none.
    static func endpointDigest(_ certificate: OpaquePointer) -> ByteString {
        var algorithm: Int32 = 0
        guard X509_get_signature_info(certificate, &algorithm, nil, nil, nil) == 1 else { return "" }
        if algorithm == NID_md5 || algorithm == NID_sha1 { algorithm = NID_sha256 }
        guard algorithm != NID_undef, let method = EVP_get_digestbyname(OBJ_nid2sn(algorithm)) else {
            return ""
        }
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate, method, &digest, &count) == 1 else { return "" }
        return ByteString(Array(digest.prefix(Int(count))))
    }
}

extension ByteString {
    /// An IPv4 or IPv6 address, and no name.
    var isAddress: Bool {
        guard let address = withCText({ a2i_IPADDRESS($0) }) else { return false }
        ASN1_OCTET_STRING_free(address)
        return true
    }

    /// The bytes with a zero behind them; cut at a zero inside.
    func withCText<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { room in
            for (place, byte) in bytes.enumerated() { room[place] = CChar(bitPattern: byte) }
            room[count] = 0
            return body(UnsafePointer(room.baseAddress!))
        }
    }
}
