# gatehouse-guest-directory 1
<#
.SYNOPSIS
Fetches the tenant's directory, an LDIF document, and puts it where the product reads it: whole, or the old one stays.

.DESCRIPTION
Windows PowerShell 5.1, run as SYSTEM by a scheduled task every half hour. Reads directory.json beside it and asks Gatehouse, with a token of
the machine's own identity, for a document other than the one that is there. It comes as gzip, a piece at a time, is unpacked beside its
place, and takes that place only when its SHA-256 is the one that was promised. It prints nothing; what fails is tried by the next run.

.NOTES
Sources: RFC 9110 (If-None-Match, Range, Content-Range), .NET's HttpWebRequest and File.Replace, "Azure Instance Metadata Service".
#>
[CmdletBinding()]
param([ValidatePattern('^[A-Za-z]:\\[^"<>|*?]+\.json$')] [string] $SettingsFile = 'C:\Program Files\Gatehouse\directory.json')

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

# No more than the service gives at once.
$PieceLength = 4194304

# A document's ETag is its SHA-256 in small hexadecimal digits, in base64 (whose + and / such digits never make).
function Get-ETag([string] $Path) {
    $sha = [Security.Cryptography.SHA256]::Create()
    $stream = [IO.File]::OpenRead($Path)
    try { $hash = [BitConverter]::ToString($sha.ComputeHash($stream)).Replace('-', '').ToLowerInvariant() } finally { $stream.Dispose(); $sha.Dispose() }
    return '"' + [Convert]::ToBase64String([Text.Encoding]::ASCII.GetBytes($hash)).TrimEnd('=') + '"'
}

function Get-Token($Settings) {
    $query = 'api-version=2018-02-01&resource={0}&client_id={1}' -f [Uri]::EscapeDataString($Settings.audience), [Uri]::EscapeDataString($Settings.identityClientId)
    return (Invoke-RestMethod -Method Get -Uri "http://169.254.169.254/metadata/identity/oauth2/token?$query" -Headers @{ Metadata = 'true' } -TimeoutSec 30).access_token
}

# Null where the document is the known one.
function Get-Piece([string] $Url, [string] $Token, [string] $Known, [long] $From) {
    $request = [Net.HttpWebRequest] [Net.WebRequest]::Create($Url)
    $request.Timeout = 60000
    $request.Headers.Add('Authorization', "Bearer $Token")
    if ($Known -ne '') { $request.Headers.Add('If-None-Match', $Known) }
    $request.AddRange($From, $From + $PieceLength - 1)
    try { return $request.GetResponse() }
    catch [Net.WebException] {
        if ($null -ne $_.Exception.Response -and [int] $_.Exception.Response.StatusCode -eq 304) { return $null }
        throw
    }
}

# The ETag of what was written, or null where there is nothing new.
function Save-Document($Settings, [string] $Known, [string] $Path) {
    $token = Get-Token $Settings
    $etag = $null
    [long] $length = 0
    [long] $total = 1
    $file = [IO.File]::Create($Path)
    try {
        while ($length -lt $total) {
            $response = Get-Piece $Settings.url $token $Known $length
            if ($null -eq $response) { return $null }
            try {
                if ($null -eq $etag) { $etag = $response.Headers['ETag'] }
                elseif ($etag -cne $response.Headers['ETag']) { throw 'another document was published meanwhile' }
                $before = $file.Length
                $response.GetResponseStream().CopyTo($file)
                if ($file.Length -eq $before) { throw 'a piece was empty' }
                $total = [long] $response.Headers['Content-Range'].Split('/')[1]
                $length = $file.Length
            }
            finally { $response.Dispose() }
        }
    }
    finally { $file.Dispose() }
    return $etag
}

function Expand-Document([string] $Packed, [string] $Path) {
    $gzip = New-Object IO.Compression.GZipStream([IO.File]::OpenRead($Packed), [IO.Compression.CompressionMode]::Decompress)
    $file = [IO.File]::Create($Path)
    try { $gzip.CopyTo($file) } finally { $file.Dispose(); $gzip.Dispose() }
}

# Whole or not at all: whoever reads meanwhile sees the old file or the new one.
function Move-IntoPlace([string] $From, [string] $To) {
    if ([IO.File]::Exists($To)) { [IO.File]::Replace($From, $To, [NullString]::Value) }
    else { [IO.File]::Move($From, $To) }
}

$settings = ConvertFrom-Json -InputObject ([IO.File]::ReadAllText($SettingsFile))
$packed = "$($settings.file).gatehouse-gz"
$temporary = "$($settings.file).gatehouse-new"
[void] [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($settings.file))
try {
    $known = ''
    if ([IO.File]::Exists($settings.file)) { $known = Get-ETag $settings.file }
    $etag = Save-Document $settings $known $packed
    if ($null -ne $etag) {
        Expand-Document $packed $temporary
        if ((Get-ETag $temporary) -cne $etag) { throw 'what came is not what was published' }
        Move-IntoPlace $temporary $settings.file
    }
}
finally {
    [IO.File]::Delete($packed)
    [IO.File]::Delete($temporary)
}
