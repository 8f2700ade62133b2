# gatehouse-guest-engine 2
<#
.SYNOPSIS
Makes a machine's Windows look like its guest document, or says where it does not.

.DESCRIPTION
Windows PowerShell 5.1, run as SYSTEM by Run Command. For each kind of the document (shared/guest/document.ts) there is one function that
names what differs and one that sets it. One run at a time works (a named mutex); a document older than one that was set before is
refused, and a document's parts are taken in order. Secrets are pulled from Key Vault with the machine's own identity.

Prints one JSON line: { inDesiredState, generation, page, pages, differences, changed, secrets } and, after a failure,
error { code, message }. Differences are names of properties; `secrets` are names followed by = and eight hexadecimal digits of a salted hash;
a value is never printed, and nothing of a secret is written but to its place.

Exit codes: 0 it was done, 1 it failed, 2 the document is refused, 3 the same run may succeed later.

.PARAMETER Document
Gzip in base64url of the guest document's JSON.

.PARAMETER Mode
test: change nothing; set: change what differs, then test again.

.PARAMETER IdentityClientId
Client id of the machine's user-assigned identity, which may read the machine's secrets.

.PARAMETER Page
Run Command keeps the last 4 kB of what is printed; with more to say, each page is a run of its own in test mode.

.NOTES
Sources: IIS 6.0 metabase reference on learn.microsoft.com (SmartHostType ms525300, RouteAction ms524483, AccessSSLFlags ms524954,
AlwaysUseSsl, FullyQualifiedDomainName), "Azure Instance Metadata Service", Key Vault REST "Get Secret", about_PSDesiredStateConfiguration,
secedit's reference, .NET's XmlDocument, File.Replace and X509Store.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)] [ValidatePattern('^[A-Za-z0-9_-]+$')] [string] $Document,
    [Parameter(Mandatory = $true)] [ValidateSet('test', 'set')] [string] $Mode,
    [Parameter(Mandatory = $true)] [ValidatePattern('^[0-9a-fA-F-]{36}$')] [string] $IdentityClientId,
    [ValidateRange(1, 99)] [int] $Page = 1
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

$SchemaVersion = 2
$StateKey = 'HKLM\SOFTWARE\Gatehouse\Guest'
$ConsumedKey = 'HKLM\SOFTWARE\Gatehouse\Guest\Consumed'
$OnceKey = 'HKLM\SOFTWARE\Gatehouse\Guest\Once'
$SmtpServerPath = 'IIS://localhost/SMTPSVC/1'
$MutexName = 'Global\GatehouseGuestEngine'
$TaskFolder = '\Gatehouse\'
$PageLength = 3000
$Utf8 = New-Object Text.UTF8Encoding($false)

# RouteAction's bits: Windows SDK, smtpinet.h
$RouteSmartHost = 0x0002
$RouteSsl = 0x0004
$RouteDomainRelay = 0x1000
# AccessSSLFlags: MD_ACCESS_SSL, "require TLS" on the Access tab
$AccessSsl = 0x0008

# What may go wrong, and the exit code that says whether the same run may succeed later.
$ExitCodes = @{
    AccountUnknown      = 1
    CertificateMismatch = 1
    DocumentMalformed   = 2
    DocumentUnsupported = 2
    EngineBusy          = 3
    EvidenceMissing     = 3
    FeatureFailed       = 1
    FeatureUnknown      = 1
    GenerationOutdated  = 2
    GuestFailed         = 1
    LcmBusy             = 3
    PartMissing         = 2
    PasswordUnknown     = 1
    RelayListMissing    = 1
    RestartNeeded       = 3
    RightsFailed        = 1
    SecretUnreadable    = 3
    ServiceMissing      = 1
    SqlForbidden        = 1
    SqlUnavailable      = 3
    XmlMalformed        = 1
    XmlMissing          = 1
    XmlNodeAmbiguous    = 1
    XmlNodeComplex      = 1
    XmlNodeMissing      = 1
}

$secrets = @{}

# Of our own failures code and message are told; messages name things of the document, never values.
function Stop-Engine([string] $Code, [string] $Message) { throw ('{0}: {1}' -f $Code, $Message) }

function Read-Document([string] $Encoded) {
    try {
        $base64 = $Encoded.Replace('-', '+').Replace('_', '/')
        $base64 = $base64.PadRight($base64.Length + (4 - $base64.Length % 4) % 4, '=')
        $compressed = New-Object IO.MemoryStream(, [Convert]::FromBase64String($base64))
        $gzip = New-Object IO.Compression.GzipStream($compressed, [IO.Compression.CompressionMode]::Decompress)
        $reader = New-Object IO.StreamReader($gzip, [Text.Encoding]::UTF8)
        try { $json = $reader.ReadToEnd() } finally { $reader.Dispose() }
        $parsed = ConvertFrom-Json -InputObject $json
    }
    catch { Stop-Engine 'DocumentMalformed' 'the guest document could not be read' }
    if ((Get-Optional $parsed 'schema') -ne $SchemaVersion) { Stop-Engine 'DocumentUnsupported' "this engine reads documents of schema $SchemaVersion" }
    return $parsed
}

# StrictMode throws on a property that is not there; the document leaves out what does not apply.
function Get-Optional($Object, [string] $Name) {
    $property = $Object.PSObject.Properties[$Name]
    if ($null -eq $property) { return $null }
    return $property.Value
}

function Get-Section($Desired, [string] $Kind) {
    $section = Get-Optional $Desired $Kind
    if ($null -eq $section) { return @() }
    return @($section)
}

# --- Secrets: pulled from the vault with the machine's own identity -----------------------------------------------------------------

function Get-IdentityToken([string] $Resource) {
    $query = 'api-version=2018-02-01&resource={0}&client_id={1}' -f [Uri]::EscapeDataString($Resource), $IdentityClientId
    $reply = Invoke-RestMethod -Method Get -Uri "http://169.254.169.254/metadata/identity/oauth2/token?$query" -Headers @{ Metadata = 'true' } -TimeoutSec 30
    return $reply.access_token
}

# A role assignment takes minutes to reach the vault, an identity a while to reach the machine: both answer 4xx until then.
function Get-Secret($Reference) {
    $id = '{0}/secrets/{1}/{2}' -f $Reference.vaultUrl.TrimEnd('/'), [Uri]::EscapeDataString($Reference.name), [Uri]::EscapeDataString($Reference.version)
    if ($secrets.ContainsKey($id)) { return $secrets[$id] }
    # contoso.vault.azure.net is a vault of https://vault.azure.net, and so in every cloud
    $resource = 'https://' + ([Uri] $Reference.vaultUrl).Host.Split('.', 2)[1]
    $deadline = (Get-Date).AddMinutes(10)
    while ($true) {
        try {
            $token = Get-IdentityToken $resource
            $reply = Invoke-RestMethod -Method Get -Uri "${id}?api-version=7.4" -Headers @{ Authorization = "Bearer $token" } -TimeoutSec 30
            $secrets[$id] = [string] $reply.value
            return $secrets[$id]
        }
        catch {
            if ((Get-Date) -gt $deadline) { Stop-Engine 'SecretUnreadable' "reading the secret $($Reference.name): $(Get-FailureStatus $_)" }
            Start-Sleep -Seconds 15
        }
    }
}

# Only the status: a reply's body or a request's header may hold what must not be printed.
function Get-FailureStatus($Failure) {
    $response = Get-Optional $Failure.Exception 'Response'
    if ($null -ne $response) { return "the answer was $([int] $response.StatusCode)" }
    return $Failure.Exception.GetType().Name
}

function Get-DesiredText($Entry) {
    $secret = Get-Optional $Entry 'secret'
    if ($null -ne $secret) { return [string] (Get-Optional $Entry 'prefix') + (Get-Secret $secret) }
    return [string] (Get-Optional $Entry 'value')
}

# The same as the control plane's own fingerprint of a secret: salted with its name.
function Get-Fingerprint([string] $Salt, [string] $Value) {
    $sha = [Security.Cryptography.SHA256]::Create()
    try { $hash = $sha.ComputeHash($Utf8.GetBytes("$Salt`n$Value")) } finally { $sha.Dispose() }
    return [BitConverter]::ToString($hash, 0, 4).Replace('-', '').ToLowerInvariant()
}

# --- Evidence: what has to be there before anything is changed (mission B16) --------------------------------------------------------

function Test-Evidence($Entry) {
    if (-not [IO.File]::Exists($Entry.file)) { return $null -ne (Get-Optional $Entry 'whenPresent') }
    if (-not (Test-Closed $Entry.file)) { return $false }
    $path = Get-Optional $Entry 'path'
    if ($null -eq $path) { return $true }
    $node = Get-XmlNode (Open-XmlFile $Entry.file) $path $Entry.file
    return ($null -ne $node) -and ($node.InnerText.Trim() -ne '')
}

# Whoever still writes a file, such as a transcript, lets nobody else in who wants it to stay as it is.
function Test-Closed([string] $Path) {
    try { $stream = [IO.File]::Open($Path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare]::Read) } catch { return $false }
    $stream.Dispose()
    return $true
}

# An image's set-up goes on for a while after the machine has come up.
function Wait-Evidence($Entry) {
    $deadline = (Get-Date).AddMinutes(15)
    while (-not (Test-Evidence $Entry)) {
        if ((Get-Date) -gt $deadline) { Stop-Engine 'EvidenceMissing' "the image's own set-up has not ended: $($Entry.file)" }
        Start-Sleep -Seconds 15
    }
}

# --- Features -----------------------------------------------------------------------------------------------------------------------

function Test-Feature([string] $Name) {
    $feature = Get-WindowsFeature -Name $Name
    if ($null -eq $feature) { Stop-Engine 'FeatureUnknown' "this Windows has no feature $Name; the image must be Windows Server 2022 or older" }
    return [bool] $feature.Installed
}

# Invoke-DscResource fails while the Local Configuration Manager works on something else, such as a policy's own configuration.
function Wait-LocalConfigurationManager {
    $deadline = (Get-Date).AddMinutes(10)
    while ([string] (Get-DscLocalConfigurationManager).LCMState -eq 'Busy') {
        if ((Get-Date) -gt $deadline) { Stop-Engine 'LcmBusy' 'the Local Configuration Manager did not become idle' }
        Start-Sleep -Seconds 15
    }
}

function Set-Feature([string] $Name) {
    Wait-LocalConfigurationManager
    $result = Invoke-DscResource -Name 'WindowsFeature' -ModuleName 'PSDesiredStateConfiguration' -Method 'Set' -Property @{ Name = $Name; Ensure = 'Present' }
    if ([bool] $result.RebootRequired) { Stop-Engine 'RestartNeeded' "the feature $Name needs a restart of the machine" }
    if (-not (Test-Feature $Name)) { Stop-Engine 'FeatureFailed' "installing the feature $Name" }
}

# --- Files --------------------------------------------------------------------------------------------------------------------------

function Get-DesiredBytes($Entry) {
    $secret = Get-Optional $Entry 'secret'
    if ($null -ne $secret) { return , $Utf8.GetBytes((Get-Secret $secret)) }
    return , $Utf8.GetBytes([string] $Entry.content)
}

function Test-File($Entry) {
    $exists = [IO.File]::Exists($Entry.path)
    if ($null -ne (Get-Optional $Entry 'absent')) { return -not $exists }
    if (-not $exists) { return $false }
    return [Convert]::ToBase64String([IO.File]::ReadAllBytes($Entry.path)) -ceq [Convert]::ToBase64String((Get-DesiredBytes $Entry))
}

function Set-File($Entry) {
    if ($null -ne (Get-Optional $Entry 'absent')) { [IO.File]::Delete($Entry.path); return }
    Save-Bytes $Entry.path (Get-DesiredBytes $Entry) ''
}

# Whole or not at all: whoever reads meanwhile sees the old file or the new one.
function Save-Bytes([string] $Path, [byte[]] $Bytes, [string] $Backup) {
    [void] [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($Path))
    $temporary = "$Path.gatehouse-new"
    [IO.File]::WriteAllBytes($temporary, $Bytes)
    if (-not [IO.File]::Exists($Path)) { [IO.File]::Move($temporary, $Path) }
    elseif ($Backup -eq '') { [IO.File]::Replace($temporary, $Path, [NullString]::Value) }
    else { [IO.File]::Replace($temporary, $Path, $Backup) }
}

# --- Certificates (mission B15) -----------------------------------------------------------------------------------------------------

function Test-Certificate($Entry) {
    $present = Test-Path -Path "Cert:\LocalMachine\$($Entry.store)\$($Entry.thumbprint)"
    return $present -eq ($null -eq (Get-Optional $Entry 'absent'))
}

function Set-Certificate($Entry) {
    $store = New-Object Security.Cryptography.X509Certificates.X509Store($Entry.store, 'LocalMachine')
    $store.Open('ReadWrite')
    try {
        if ($null -ne (Get-Optional $Entry 'absent')) {
            foreach ($old in $store.Certificates.Find('FindByThumbprint', $Entry.thumbprint, $false)) { $store.Remove($old) }
            return
        }
        $pkcs12 = New-Object Security.Cryptography.X509Certificates.X509Certificate2Collection
        # Not exportable: without that flag the key stays where it was imported.
        $pkcs12.Import([Convert]::FromBase64String((Get-Secret $Entry.secret)), '', 'MachineKeySet, PersistKeySet')
        $wanted = @($pkcs12 | Where-Object { $_.Thumbprint -eq $Entry.thumbprint })
        if ($wanted.Count -ne 1) { Stop-Engine 'CertificateMismatch' "the vault's $($Entry.secret.name) is not the certificate $($Entry.thumbprint)" }
        $store.Add($wanted[0])
    }
    finally { $store.Close() }
}

# --- Registry -----------------------------------------------------------------------------------------------------------------------

function Open-RegistryKey([string] $Path, [bool] $Writable) {
    # The 64-bit view, whatever the host that started us: the product's service reads that one.
    $machine = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, [Microsoft.Win32.RegistryView]::Registry64)
    $below = $Path -replace '^HKLM\\', ''
    if ($Writable) { return $machine.CreateSubKey($below) }
    return $machine.OpenSubKey($below)
}

function Get-RegistryData([string] $Path, [string] $Name) {
    $key = Open-RegistryKey $Path $false
    if ($null -eq $key) { return $null }
    try {
        $data = $key.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        if ($null -eq $data) { return $null }
        return @{ Type = [string] $key.GetValueKind($Name); Data = $data }
    }
    finally { $key.Dispose() }
}

function Set-RegistryData([string] $Path, [string] $Name, [string] $Type, $Data) {
    $key = Open-RegistryKey $Path $true
    try { $key.SetValue($Name, $Data, [Microsoft.Win32.RegistryValueKind] $Type) } finally { $key.Dispose() }
}

# .NET keeps a DWORD as a signed number.
function ConvertTo-RegistryData($Entry) {
    switch ($Entry.type) {
        'DWord' { return [BitConverter]::ToInt32([BitConverter]::GetBytes([uint32] $Entry.value), 0) }
        'QWord' { return [int64] $Entry.value }
        'MultiString' { return , [string[]] @($Entry.value) }
        default { return Get-DesiredText $Entry }
    }
}

function Test-RegistryValue($Entry) {
    $there = Get-RegistryData $Entry.path $Entry.name
    if ($null -eq $there -or $there.Type -ne $Entry.type) { return $false }
    $wanted = ConvertTo-RegistryData $Entry
    return [string]::Equals((@($there.Data) -join "`0"), (@($wanted) -join "`0"), [StringComparison]::Ordinal)
}

function Set-RegistryValue($Entry) { Set-RegistryData $Entry.path $Entry.name $Entry.type (ConvertTo-RegistryData $Entry) }

# --- XML: by the DOM, with a backup, read again before it takes its place -----------------------------------------------------------

function Open-XmlFile([string] $Path) { return Read-Xml ([IO.File]::ReadAllBytes($Path)) $Path }

function Read-Xml([byte[]] $Bytes, [string] $Path) {
    $xml = New-Object Xml.XmlDocument
    $xml.PreserveWhitespace = $true
    $xml.XmlResolver = $null
    $stream = New-Object IO.MemoryStream(, $Bytes)
    try { $xml.Load($stream) } catch { Stop-Engine 'XmlMalformed' "$Path is no well-formed XML" } finally { $stream.Dispose() }
    return $xml
}

function Get-XmlNode($Xml, [string] $Path, [string] $File) {
    $nodes = @($Xml.SelectNodes($Path))
    if ($nodes.Count -gt 1) { Stop-Engine 'XmlNodeAmbiguous' "$File has $($nodes.Count) nodes $Path" }
    if ($nodes.Count -eq 0) { return $null }
    if (@($nodes[0].ChildNodes | Where-Object { $_.NodeType -eq 'Element' }).Count -gt 0) { Stop-Engine 'XmlNodeComplex' "$Path in $File holds elements" }
    return $nodes[0]
}

function Get-NodeName([string] $File, [string] $Path) { return $File + '#' + $Path }

function Add-XmlNode($Xml, [string] $Path, [string] $File) {
    $last = $Path.LastIndexOf('/')
    $name = $Path.Substring($last + 1)
    $parents = @($Xml.SelectNodes($Path.Substring(0, $last)))
    if ($parents.Count -ne 1) { Stop-Engine 'XmlNodeMissing' "$File has no place for $Path" }
    if ($name.StartsWith('@')) {
        [void] $parents[0].SetAttribute($name.Substring(1), '')
        return $parents[0].GetAttributeNode($name.Substring(1))
    }
    return $parents[0].AppendChild($Xml.CreateElement($name))
}

# The product takes some secrets out of their elements and keeps them encrypted in another: then the element is empty, its twin is not, and we
# remember by a fingerprint which secret we had put there.
function Test-Consumed($Xml, $Node, $Entry, [string] $File) {
    $twin = Get-Optional $Entry 'twin'
    if ($null -eq $twin -or $Node.InnerText -ne '') { return $false }
    $encrypted = Get-XmlNode $Xml $twin $File
    if ($null -eq $encrypted -or $encrypted.InnerText -eq '') { return $false }
    $remembered = Get-RegistryData $ConsumedKey (Get-NodeName $File $Entry.path)
    return ($null -ne $remembered) -and ($remembered.Data -ceq (Get-Fingerprint $Entry.secret.name (Get-Secret $Entry.secret)))
}

# A request to the product, such as a flag that it puts back: what counts is that it was made, not what the element says by now.
function Test-Once($Entry, [string] $File) {
    $remembered = Get-RegistryData $OnceKey (Get-NodeName $File $Entry.path)
    return ($null -ne $remembered) -and ($remembered.Data -ceq $Entry.once)
}

function Test-XmlNode($Xml, $Node, $Entry, [string] $File) {
    if ($null -ne (Get-Optional $Entry 'once')) { return Test-Once $Entry $File }
    return ($null -ne $Node) -and ($Node.InnerText -ceq (Get-DesiredText $Entry) -or (Test-Consumed $Xml $Node $Entry $File))
}

function Get-XmlDifferences($Section) {
    $found = New-Object Collections.Generic.List[string]
    foreach ($entry in $Section) {
        if (-not [IO.File]::Exists($entry.file)) {
            if ($null -eq (Get-Optional $entry 'whenPresent')) { $found.Add("xml/$($entry.file)") }
            continue
        }
        $xml = Open-XmlFile $entry.file
        foreach ($node in $entry.nodes) {
            $there = Get-XmlNode $xml $node.path $entry.file
            if (Test-XmlNode $xml $there $node $entry.file) { continue }
            $found.Add('xml/' + (Get-NodeName $entry.file $node.path))
        }
    }
    return $found
}

function Set-XmlFile($Entry) {
    if (-not [IO.File]::Exists($Entry.file)) {
        if ($null -ne (Get-Optional $Entry 'whenPresent')) { return }
        Stop-Engine 'XmlMissing' "$($Entry.file) is not there"
    }
    $before = [IO.File]::ReadAllBytes($Entry.file)
    $xml = Read-Xml $before $Entry.file
    $written = @()
    foreach ($node in $Entry.nodes) {
        $there = Get-XmlNode $xml $node.path $Entry.file
        if (Test-XmlNode $xml $there $node $Entry.file) { continue }
        if ($null -eq $there) {
            if ($null -eq (Get-Optional $node 'create')) { Stop-Engine 'XmlNodeMissing' "$($Entry.file) has no $($node.path)" }
            $there = Add-XmlNode $xml $node.path $Entry.file
        }
        $there.InnerText = Get-DesiredText $node
        $written += $node
    }
    if ($written.Count -eq 0) { return }
    $after = ConvertTo-XmlBytes $xml $before
    $again = Read-Xml $after $Entry.file
    foreach ($node in $written) {
        if ((Get-XmlNode $again $node.path $Entry.file).InnerText -cne (Get-DesiredText $node)) { Stop-Engine 'XmlMalformed' "$($node.path) in $($Entry.file) does not read back" }
    }
    Save-Bytes $Entry.file $after "$($Entry.file).gatehouse-before"
    foreach ($node in $written) {
        $once = Get-Optional $node 'once'
        if ($null -ne $once) { Set-RegistryData $OnceKey (Get-NodeName $Entry.file $node.path) 'String' $once }
        if ($null -eq (Get-Optional $node 'twin')) { continue }
        Set-RegistryData $ConsumedKey (Get-NodeName $Entry.file $node.path) 'String' (Get-Fingerprint $node.secret.name (Get-Secret $node.secret))
    }
}

# As it was: with or without a byte order mark and a declaration, in the encoding that is declared.
function ConvertTo-XmlBytes($Xml, [byte[]] $Before) {
    $declaration = $Xml.FirstChild -as [Xml.XmlDeclaration]
    $marked = $Before.Length -ge 3 -and $Before[0] -eq 0xEF -and $Before[1] -eq 0xBB -and $Before[2] -eq 0xBF
    $settings = New-Object Xml.XmlWriterSettings
    $settings.OmitXmlDeclaration = $null -eq $declaration
    $settings.NewLineHandling = [Xml.NewLineHandling]::None
    $settings.Encoding = New-Object Text.UTF8Encoding($marked)
    if ($null -ne $declaration -and $declaration.Encoding -ne '' -and $declaration.Encoding -ne 'utf-8') { $settings.Encoding = [Text.Encoding]::GetEncoding($declaration.Encoding) }
    $stream = New-Object IO.MemoryStream
    $writer = [Xml.XmlWriter]::Create($stream, $settings)
    try { $Xml.Save($writer) } finally { $writer.Close() }
    return , $stream.ToArray()
}

# --- Defender (mission B1, E8) ------------------------------------------------------------------------------------------------------

# Without Defender there is nothing to except from.
function Get-MissingExclusions($Section) {
    if ($null -eq (Get-Service -Name 'WinDefend' -ErrorAction SilentlyContinue)) { return @() }
    $there = @((Get-MpPreference).ExclusionPath)
    return @($Section.exclusions | Where-Object { $there -notcontains $_ })
}

function Set-Exclusions($Section) { foreach ($path in (Get-MissingExclusions $Section)) { Add-MpPreference -ExclusionPath $path } }

# --- Windows firewall (mission B2, E9) ----------------------------------------------------------------------------------------------

function Get-RuleName([string] $Name) { return 'Gatehouse-' + ($Name -replace '^Gatehouse ', '' -replace ' ', '-') }

function Get-RuleDirection($Entry) { if ($null -eq (Get-Optional $Entry 'direction')) { return 'Inbound' } else { return 'Outbound' } }

function Get-RuleSources($Entry) {
    $sources = Get-Optional $Entry 'sources'
    if ($null -eq $sources) { return @('Any') }
    return @($sources | Sort-Object)
}

function Test-FirewallRule($Entry) {
    $rule = Get-NetFirewallRule -Name (Get-RuleName $Entry.name) -ErrorAction SilentlyContinue
    if ($null -eq $rule) { return $false }
    $direction = Get-RuleDirection $Entry
    $filter = $rule | Get-NetFirewallPortFilter
    # Inbound it is our own port that is opened, outbound the other side's.
    if ($direction -eq 'Inbound') { $port = [string] $filter.LocalPort } else { $port = [string] $filter.RemotePort }
    # Windows gives 203.0.113.0/24 back as 203.0.113.0/255.255.255.0
    $sources = @(($rule | Get-NetFirewallAddressFilter).RemoteAddress | ForEach-Object { ConvertTo-Prefix $_ } | Sort-Object)
    return ([string] $rule.Enabled -eq 'True') -and ([string] $rule.Direction -eq $direction) -and ([string] $rule.Action -eq 'Allow') -and
        ($filter.Protocol -eq $Entry.protocol) -and ($port -eq [string] $Entry.port) -and
        (($sources -join ',') -eq ((Get-RuleSources $Entry) -join ','))
}

function Set-FirewallRule($Entry) {
    $name = Get-RuleName $Entry.name
    Remove-NetFirewallRule -Name $name -ErrorAction SilentlyContinue
    if ((Get-RuleDirection $Entry) -eq 'Inbound') {
        [void] (New-NetFirewallRule -Name $name -DisplayName $Entry.name -Group 'Gatehouse' -Direction Inbound -Action Allow -Enabled True `
                -Profile Any -Protocol $Entry.protocol -LocalPort $Entry.port -RemoteAddress (Get-RuleSources $Entry))
    }
    else {
        [void] (New-NetFirewallRule -Name $name -DisplayName $Entry.name -Group 'Gatehouse' -Direction Outbound -Action Allow -Enabled True `
                -Profile Any -Protocol $Entry.protocol -RemotePort $Entry.port -RemoteAddress (Get-RuleSources $Entry))
    }
}

# A port that the document no longer names is closed again; rules of others are left alone.
function Get-SurplusRules($Desired) {
    # An empty list is there all the same, and says that no rule of ours is wanted; a pipeline would make nothing of it.
    if ($null -eq $Desired.PSObject.Properties['firewall']) { return @() }
    $names = Get-Optional $Desired 'firewallNames'
    if ($null -eq $names) { $names = @($Desired.firewall | ForEach-Object { $_.name }) }
    $wanted = @($names | ForEach-Object { Get-RuleName $_ })
    return @(Get-NetFirewallRule -Group 'Gatehouse' -ErrorAction SilentlyContinue | Where-Object { $wanted -notcontains $_.Name })
}

function ConvertTo-Prefix([string] $Range) {
    $address, $mask = $Range.Split('/')
    if ($null -eq $mask) { return $address }
    if ($mask -match '^\d+$') { if ($mask -eq '32') { return $address } else { return $Range } }
    $bits = 0
    foreach ($octet in ([Net.IPAddress] $mask).GetAddressBytes()) { $bits += ([Convert]::ToString($octet, 2) -replace '0', '').Length }
    if ($bits -eq 32) { return $address }
    return "$address/$bits"
}

# --- SMTP server (manual, chapter 3.2; mission B3) ----------------------------------------------------------------------------------

function Get-SmtpServer {
    $server = New-Object DirectoryServices.DirectoryEntry($SmtpServerPath)
    # The first access tells whether the metabase and the virtual server are there at all.
    [void] $server.psbase.Properties['ServerBindings'].Value
    return $server
}

function Get-MetabaseValue($Entry, [string] $Name) { return $Entry.psbase.Properties[$Name].Value }

function Get-RelayDomain($Server, [string] $Domain) {
    $path = "$SmtpServerPath/Domain/$Domain"
    if ([DirectoryServices.DirectoryEntry]::Exists($path)) { return New-Object DirectoryServices.DirectoryEntry($path) }
    return $null
}

function Get-RouteAction($Smtp) {
    $action = $RouteSmartHost -bor $RouteDomainRelay
    if ($Smtp.outboundTls) { $action = $action -bor $RouteSsl }
    return $action
}

# IIS' SMTP service takes the newest certificate of the machine whose name is the virtual server's; without one it offers no STARTTLS.
function Get-TlsCertificate([string] $Fqdn) {
    return Get-ChildItem -Path Cert:\LocalMachine\My | Where-Object {
        $_.HasPrivateKey -and $_.NotBefore -le (Get-Date) -and $_.NotAfter -gt (Get-Date).AddDays(14) -and
        (@($_.DnsNameList | ForEach-Object { $_.Unicode }) -contains $Fqdn)
    } | Sort-Object -Property NotAfter -Descending | Select-Object -First 1
}

# `address, mask`, as IIsIPSecuritySetting's IPGrant wants it
function ConvertTo-Grant([string] $Range) {
    $address, $prefix = $Range.Split('/')
    if ($null -eq $prefix) { $prefix = 32 }
    $bits = ('1' * [int] $prefix).PadRight(32, '0')
    $mask = @(0, 8, 16, 24 | ForEach-Object { [Convert]::ToInt32($bits.Substring($_, 8), 2) }) -join '.'
    return "$address, $mask"
}

function Get-RelayGrants($Smtp) {
    $ranges = Get-Optional $Smtp 'relayFrom'
    $grants = @('127.0.0.1, 255.255.255.255')
    if ($null -ne $ranges) { $grants += @($ranges | ForEach-Object { ConvertTo-Grant $_ }) }
    return @($grants | Sort-Object)
}

function Test-RelayGrants($Server, $Smtp) {
    $list = Get-MetabaseValue $Server 'RelayIpList'
    if ($null -eq $list) { return $false }
    $get = [Reflection.BindingFlags] 'Public, Instance, GetProperty'
    if ([bool] $list.GetType().InvokeMember('GrantByDefault', $get, $null, $list, $null)) { return $false }
    $granted = @($list.GetType().InvokeMember('IPGrant', $get, $null, $list, $null) | ForEach-Object { [string] $_ } | Sort-Object)
    return ($granted -join ';') -eq ((Get-RelayGrants $Smtp) -join ';')
}

function Set-RelayGrants($Server, $Smtp) {
    $set = [Reflection.BindingFlags] 'Public, Instance, SetProperty'
    $list = Get-MetabaseValue $Server 'RelayIpList'
    if ($null -eq $list) { Stop-Engine 'RelayListMissing' 'the SMTP server keeps no list of relay addresses that could be changed' }
    [void] $list.GetType().InvokeMember('GrantByDefault', $set, $null, $list, @($false))
    [void] $list.GetType().InvokeMember('IPGrant', $set, $null, $list, (, [object[]] (Get-RelayGrants $Smtp)))
    $Server.psbase.Invoke('Put', @('RelayIpList', $list))
}

# In the manual's order: FQDN, smart host, TLS; the restart comes last of all.
function Get-SmtpDifferences($Smtp) {
    $found = New-Object Collections.Generic.List[string]
    try { $server = Get-SmtpServer } catch { $found.Add('smtp'); return $found }
    if ([string] (Get-MetabaseValue $server 'FullyQualifiedDomainName') -ne $Smtp.fqdn) { $found.Add('smtp/fqdn') }
    if ([string] (Get-MetabaseValue $server 'SmartHost') -ne $Smtp.smartHost) { $found.Add('smtp/smartHost') }
    # 2: always; 1 would try the recipient's MX first and mail would leave from the machine itself
    elseif ([int] (Get-MetabaseValue $server 'SmartHostType') -ne 2) { $found.Add('smtp/smartHost') }
    if ([bool] (Get-MetabaseValue $server 'AlwaysUseSsl') -ne [bool] $Smtp.outboundTls) { $found.Add('smtp/outboundTls') }
    $required = ([int] (Get-MetabaseValue $server 'AccessSSLFlags') -band $AccessSsl) -ne 0
    if ($required -ne [bool] $Smtp.inboundTls) { $found.Add('smtp/inboundTls') }
    elseif ($Smtp.inboundTls -and ($null -eq (Get-TlsCertificate $Smtp.fqdn))) { $found.Add('smtp/inboundTls') }
    foreach ($domain in $Smtp.relayFor) {
        $entry = Get-RelayDomain $server $domain
        if ($null -eq $entry) { $found.Add("smtp/relayFor/$domain") }
        elseif ([int] (Get-MetabaseValue $entry 'RouteAction') -ne (Get-RouteAction $Smtp)) { $found.Add("smtp/relayFor/$domain") }
        elseif ([string] (Get-MetabaseValue $entry 'RouteActionString') -ne $Smtp.smartHost) { $found.Add("smtp/relayFor/$domain") }
    }
    foreach ($domain in (Get-FormerDomains $server $Smtp)) { $found.Add("smtp/relayFor/$domain") }
    if (-not (Test-RelayGrants $server $Smtp)) { $found.Add('smtp/relayFrom') }
    return $found
}

# Of the domains that we relay for, those that the document no longer names; what somebody else has entered is left alone.
function Get-FormerDomains($Server, $Smtp) {
    $ours = Get-RegistryData $StateKey 'RelayDomains'
    if ($null -eq $ours) { return @() }
    return @($ours.Data | Where-Object { ($Smtp.relayFor -notcontains $_) -and ($null -ne (Get-RelayDomain $Server $_)) })
}

function Save-RelayDomains([string[]] $Domains) { Set-RegistryData $StateKey 'RelayDomains' 'MultiString' $Domains }

function Set-Smtp($Smtp) {
    $server = Get-SmtpServer
    $former = @(Get-FormerDomains $server $Smtp)
    # Remembered before it is made: whatever happens then, it can be taken out again.
    Save-RelayDomains (@($Smtp.relayFor) + $former)
    $server.psbase.Invoke('Put', @('FullyQualifiedDomainName', [string] $Smtp.fqdn))
    $server.psbase.Invoke('Put', @('SmartHost', [string] $Smtp.smartHost))
    $server.psbase.Invoke('Put', @('SmartHostType', 2))
    $server.psbase.Invoke('Put', @('AlwaysUseSsl', [bool] $Smtp.outboundTls))
    if ($Smtp.inboundTls -and ($null -eq (Get-TlsCertificate $Smtp.fqdn))) {
        # The customer's own certificate replaces it later (mission B15); without any there would be no TLS at all.
        [void] (New-SelfSignedCertificate -DnsName $Smtp.fqdn -CertStoreLocation Cert:\LocalMachine\My -KeyAlgorithm RSA -KeyLength 2048 `
                -NotAfter (Get-Date).AddYears(2) -FriendlyName 'Gatehouse SMTP')
    }
    $flags = [int] (Get-MetabaseValue $server 'AccessSSLFlags')
    if ($Smtp.inboundTls) { $flags = $flags -bor $AccessSsl } else { $flags = $flags -band (-bnot $AccessSsl) }
    $server.psbase.Invoke('Put', @('AccessSSLFlags', $flags))
    Set-RelayGrants $server $Smtp
    $server.psbase.Invoke('SetInfo')

    $domains = New-Object DirectoryServices.DirectoryEntry("$SmtpServerPath/Domain")
    foreach ($domain in $Smtp.relayFor) {
        $entry = Get-RelayDomain $server $domain
        if ($null -eq $entry) { $entry = New-Object DirectoryServices.DirectoryEntry($domains.psbase.Invoke('Create', @('IIsSmtpDomain', [string] $domain))) }
        $entry.psbase.Invoke('Put', @('RouteAction', [int] (Get-RouteAction $Smtp)))
        $entry.psbase.Invoke('Put', @('RouteActionString', [string] $Smtp.smartHost))
        $entry.psbase.Invoke('SetInfo')
    }
    foreach ($domain in $former) { [void] $domains.psbase.Invoke('Delete', @('IIsSmtpDomain', [string] $domain)) }
    Save-RelayDomains @($Smtp.relayFor)
}

# --- Scheduled tasks ----------------------------------------------------------------------------------------------------------------

function Test-Task($Entry) {
    $task = Get-ScheduledTask -TaskPath $TaskFolder -TaskName $Entry.name -ErrorAction SilentlyContinue
    if ($null -eq $task) { return $false }
    $actions = @($task.Actions)
    $triggers = @($task.Triggers)
    if ($triggers.Count -ne 1 -or $null -eq $triggers[0].Repetition -or [string] $triggers[0].Repetition.Interval -eq '') { return $false }
    return ($actions.Count -eq 1) -and ([string] $actions[0].Execute -eq $Entry.execute) -and ([string] $actions[0].Arguments -ceq [string] (Get-Optional $Entry 'arguments')) -and
        ([Xml.XmlConvert]::ToTimeSpan([string] $triggers[0].Repetition.Interval).TotalMinutes -eq $Entry.everyInMinutes) -and
        ([string] $task.State -ne 'Disabled') -and ([string] $task.Principal.UserId -eq 'SYSTEM')
}

function Set-Task($Entry) {
    $arguments = Get-Optional $Entry 'arguments'
    if ($null -eq $arguments) { $action = New-ScheduledTaskAction -Execute $Entry.execute } else { $action = New-ScheduledTaskAction -Execute $Entry.execute -Argument $arguments }
    # Without a duration it repeats for ever.
    $trigger = New-ScheduledTaskTrigger -Once -At (Get-Date).AddMinutes(1) -RepetitionInterval (New-TimeSpan -Minutes $Entry.everyInMinutes)
    $principal = New-ScheduledTaskPrincipal -UserId 'SYSTEM' -LogonType ServiceAccount -RunLevel Highest
    $settings = New-ScheduledTaskSettingsSet -StartWhenAvailable -MultipleInstances IgnoreNew -ExecutionTimeLimit (New-TimeSpan -Minutes 5)
    [void] (Register-ScheduledTask -TaskPath $TaskFolder -TaskName $Entry.name -Action $action -Trigger $trigger -Principal $principal -Settings $settings -Force)
}

# --- Members of local groups and user rights (mission E7) ---------------------------------------------------------------------------

function Get-AccountSid([string] $Account) {
    try { return (New-Object Security.Principal.NTAccount($Account)).Translate([Security.Principal.SecurityIdentifier]).Value }
    catch { Stop-Engine 'AccountUnknown' "Windows finds no account $Account" }
}

# By ADSI: Get-LocalGroupMember fails on a group that has a member whose account is gone.
function Get-MemberSids([string] $GroupSid) {
    $name = (New-Object Security.Principal.SecurityIdentifier($GroupSid)).Translate([Security.Principal.NTAccount]).Value.Split('\')[-1]
    $group = New-Object DirectoryServices.DirectoryEntry("WinNT://./$name,group")
    $get = [Reflection.BindingFlags] 'Public, Instance, GetProperty'
    return @($group.psbase.Invoke('Members') | ForEach-Object {
            $bytes = [byte[]] $_.GetType().InvokeMember('objectSid', $get, $null, $_, $null)
            (New-Object Security.Principal.SecurityIdentifier($bytes, 0)).Value
        })
}

function Get-MissingMembers($Entry) {
    $there = @(Get-MemberSids $Entry.group)
    return @($Entry.members | Where-Object { $there -notcontains (Get-AccountSid $_) })
}

function Set-Members($Entry) { foreach ($member in (Get-MissingMembers $Entry)) { Add-LocalGroupMember -SID $Entry.group -Member (Get-AccountSid $member) } }

# secedit's own format: `SeServiceLogonRight = *S-1-5-80-0,CONTOSO\svc`
function Get-RightHolders([string] $Right) {
    $file = [IO.Path]::GetTempFileName()
    try {
        [void] (secedit.exe /export /cfg $file /areas USER_RIGHTS /quiet)
        if ($LASTEXITCODE -ne 0) { Stop-Engine 'RightsFailed' 'reading user rights' }
        foreach ($line in [IO.File]::ReadAllLines($file)) {
            $name, $holders = $line.Split('=', 2)
            if ($name.Trim() -ne $Right) { continue }
            return @($holders.Split(',') | ForEach-Object { $_.Trim() } | Where-Object { $_ -ne '' } | ForEach-Object {
                    if ($_.StartsWith('*')) { $_.Substring(1) } else { Get-AccountSid $_ }
                })
        }
        return @()
    }
    finally { [IO.File]::Delete($file) }
}

function Get-MissingHolders($Entry) {
    $there = @(Get-RightHolders $Entry.right)
    return @($Entry.accounts | Where-Object { $there -notcontains (Get-AccountSid $_) })
}

function Set-Right($Entry) {
    $holders = @(Get-RightHolders $Entry.right) + @($Entry.accounts | ForEach-Object { Get-AccountSid $_ }) | Select-Object -Unique
    $line = '{0} = {1}' -f $Entry.right, (@($holders | ForEach-Object { "*$_" }) -join ',')
    $file = [IO.Path]::GetTempFileName()
    $database = "$file.sdb"
    try {
        [IO.File]::WriteAllLines($file, [string[]] @('[Unicode]', 'Unicode=yes', '[Version]', 'signature="$CHICAGO$"', 'Revision=1', '[Privilege Rights]', $line), [Text.Encoding]::Unicode)
        [void] (secedit.exe /configure /db $database /cfg $file /areas USER_RIGHTS /quiet)
        if ($LASTEXITCODE -ne 0) { Stop-Engine 'RightsFailed' "giving the right $($Entry.right)" }
    }
    finally { [IO.File]::Delete($file); [IO.File]::Delete($database) }
}

# --- Passwords of local accounts (mission F4) ---------------------------------------------------------------------------------------

# The class that Windows has for accounts; PowerShell 5.1 does not load it by itself.
function Open-LocalAccounts {
    [void] [Reflection.Assembly]::Load('System.DirectoryServices.AccountManagement, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089')
    return New-Object DirectoryServices.AccountManagement.PrincipalContext('Machine')
}

# A log-on. One that fails counts for the account's lockout (ten of them in ten minutes), so no password is tried more often than it must.
function Test-Password($Entry) {
    $accounts = Open-LocalAccounts
    try { return $accounts.ValidateCredentials($Entry.account, (Get-Secret $Entry.secret)) } finally { $accounts.Dispose() }
}

function Set-Password($Entry) {
    $wanted = Get-Secret $Entry.secret
    $accounts = Open-LocalAccounts
    try {
        $account = [DirectoryServices.AccountManagement.UserPrincipal]::FindByIdentity($accounts, $Entry.account)
        if ($null -eq $account) { Stop-Engine 'AccountUnknown' "Windows finds no account $($Entry.account)" }
        foreach ($earlier in (Get-Section $Entry 'earlier')) {
            $there = Get-Secret $earlier
            if (-not $accounts.ValidateCredentials($Entry.account, $there)) { continue }
            # Unlike a reset this keeps what the Data Protection API has encrypted for the account.
            $account.ChangePassword($there, $wanted)
            return
        }
        if ($null -eq (Get-Optional $Entry 'reset')) { Stop-Engine 'PasswordUnknown' "the account $($Entry.account) has none of the passwords that are known: somebody else has changed it" }
        $account.SetPassword($wanted)
    }
    finally { $accounts.Dispose() }
}

# --- Passwords of SQL Server's own logins (mission B6) ------------------------------------------------------------------------------

# Without a login by Windows' own account.
function Open-SqlServer([string] $Server, [string] $Login, [string] $Password) {
    $builder = New-Object Data.SqlClient.SqlConnectionStringBuilder
    $builder['Data Source'] = $Server
    $builder['Pooling'] = $false
    if ($Login -eq '') { $builder['Integrated Security'] = $true }
    else { $builder['User ID'] = $Login; $builder['Password'] = $Password }
    $connection = New-Object Data.SqlClient.SqlConnection($builder.ConnectionString)
    $connection.Open()
    return $connection
}

# Its number only: a message may quote what was sent.
function Get-SqlError($Failure) {
    $cause = $Failure.Exception.GetBaseException()
    if ($cause -is [Data.SqlClient.SqlException]) { return $cause.Number }
    return $null
}

# 18456: the log-on failed.
function Test-Login($Entry) {
    $password = Get-Secret $Entry.secret
    try { (Open-SqlServer $Entry.server $Entry.login $password).Dispose() }
    catch {
        $number = Get-SqlError $_
        if ($number -eq 18456) { return $false }
        Stop-Engine 'SqlUnavailable' "the SQL Server $($Entry.server) did not answer a log-on: error $number"
    }
    return $true
}

# ALTER LOGIN takes no parameters, so both are quoted by SQL Server itself. 15151: it is not there, or who asks may not.
function Set-Login($Entry) {
    $password = Get-Secret $Entry.secret
    try { $connection = Open-SqlServer $Entry.server '' '' }
    catch { Stop-Engine 'SqlUnavailable' "the SQL Server $($Entry.server) does not let Windows' own account in: error $(Get-SqlError $_)" }
    try {
        $command = $connection.CreateCommand()
        $command.CommandText = 'DECLARE @statement nvarchar(1000) = N''ALTER LOGIN '' + QUOTENAME(@login) + N'' WITH PASSWORD = '' + QUOTENAME(@password, ''); EXEC (@statement);'
        [void] $command.Parameters.AddWithValue('@login', [string] $Entry.login)
        [void] $command.Parameters.AddWithValue('@password', $password)
        [void] $command.ExecuteNonQuery()
    }
    catch { Stop-Engine 'SqlForbidden' "Windows' own account may not change the login $($Entry.login): error $(Get-SqlError $_)" }
    finally { $connection.Dispose() }
}

# --- Services -----------------------------------------------------------------------------------------------------------------------

function Test-ServiceEntry($Entry) {
    $service = Get-Service -Name $Entry.name -ErrorAction SilentlyContinue
    if ($null -eq $service) { return $null -ne (Get-Optional $Entry 'whenPresent') }
    return ([string] $service.StartType -eq $Entry.startType) -and ([string] $service.Status -eq $Entry.state)
}

function Set-ServiceEntry($Entry) {
    if ($null -eq (Get-Service -Name $Entry.name -ErrorAction SilentlyContinue)) { Stop-Engine 'ServiceMissing' "there is no service $($Entry.name)" }
    Set-Service -Name $Entry.name -StartupType $Entry.startType
    if ($Entry.state -eq 'Running') { Start-Service -Name $Entry.name } else { Stop-Service -Name $Entry.name -Force }
    (Get-Service -Name $Entry.name).WaitForStatus($Entry.state, [TimeSpan]::FromMinutes(2))
}

# Settings are read when a service starts. The last part of several restarts whatever reads any once an earlier one has changed some.
function Restart-Affected($Entry, [string[]] $Repaired, [bool] $AfterParts) {
    $beginnings = Get-Optional $Entry 'restartAfter'
    if ($null -eq $beginnings -or $Entry.state -ne 'Running') { return }
    $affected = @($Repaired | Where-Object { $difference = $_; @($beginnings | Where-Object { $difference.StartsWith($_, [StringComparison]::OrdinalIgnoreCase) }).Count -gt 0 })
    if (($affected.Count -gt 0 -or $AfterParts) -and ($null -ne (Get-Service -Name $Entry.name -ErrorAction SilentlyContinue))) { Restart-Service -Name $Entry.name -Force }
}

# --- The whole ----------------------------------------------------------------------------------------------------------------------

function Get-Differences($Desired) {
    $found = New-Object Collections.Generic.List[string]
    foreach ($entry in (Get-Section $Desired 'evidence')) { if (-not (Test-Evidence $entry)) { $found.Add("evidence/$($entry.file)") } }
    foreach ($feature in (Get-Section $Desired 'features')) { if (-not (Test-Feature $feature)) { $found.Add("features/$feature") } }
    foreach ($entry in (Get-Section $Desired 'files')) { if (-not (Test-File $entry)) { $found.Add("files/$($entry.path)") } }
    foreach ($entry in (Get-Section $Desired 'certificates')) { if (-not (Test-Certificate $entry)) { $found.Add("certificates/$($entry.store)/$($entry.thumbprint)") } }
    foreach ($smtp in (Get-Section $Desired 'smtp')) { foreach ($difference in (Get-SmtpDifferences $smtp)) { $found.Add($difference) } }
    foreach ($entry in (Get-Section $Desired 'registry')) { if (-not (Test-RegistryValue $entry)) { $found.Add("registry/$($entry.path)\$($entry.name)") } }
    foreach ($difference in (Get-XmlDifferences (Get-Section $Desired 'xml'))) { $found.Add($difference) }
    foreach ($section in (Get-Section $Desired 'defender')) { foreach ($path in (Get-MissingExclusions $section)) { $found.Add("defender/$path") } }
    foreach ($entry in (Get-Section $Desired 'firewall')) { if (-not (Test-FirewallRule $entry)) { $found.Add("firewall/$($entry.name)") } }
    foreach ($rule in (Get-SurplusRules $Desired)) { $found.Add("firewall/$($rule.DisplayName)") }
    foreach ($entry in (Get-Section $Desired 'tasks')) { if (-not (Test-Task $entry)) { $found.Add("tasks/$($entry.name)") } }
    foreach ($entry in (Get-Section $Desired 'groups')) { foreach ($member in (Get-MissingMembers $entry)) { $found.Add("groups/$($entry.group)/$member") } }
    foreach ($entry in (Get-Section $Desired 'rights')) { foreach ($account in (Get-MissingHolders $entry)) { $found.Add("rights/$($entry.right)/$account") } }
    foreach ($entry in (Get-Section $Desired 'passwords')) { if (-not (Test-Password $entry)) { $found.Add("passwords/$($entry.account)") } }
    foreach ($entry in (Get-Section $Desired 'logins')) { if (-not (Test-Login $entry)) { $found.Add("logins/$($entry.server)/$($entry.login)") } }
    foreach ($entry in (Get-Section $Desired 'services')) { if (-not (Test-ServiceEntry $entry)) { $found.Add("services/$($entry.name)") } }
    return $found
}

# Comes first of all: what a set-up that goes on has half written must be neither compared nor changed.
function Wait-SetUp($Desired) { foreach ($entry in (Get-Section $Desired 'evidence')) { Wait-Evidence $entry } }

# In the order of the kinds: nothing listens before it is configured, nothing starts before all is there.
function Set-Differences($Desired, [string[]] $Before, [bool] $AfterParts) {
    foreach ($feature in (Get-Section $Desired 'features')) { if (-not (Test-Feature $feature)) { Set-Feature $feature } }
    foreach ($entry in (Get-Section $Desired 'files')) { if (-not (Test-File $entry)) { Set-File $entry } }
    foreach ($entry in (Get-Section $Desired 'certificates')) { if (-not (Test-Certificate $entry)) { Set-Certificate $entry } }
    foreach ($smtp in (Get-Section $Desired 'smtp')) { if (@(Get-SmtpDifferences $smtp).Count -gt 0) { Set-Smtp $smtp } }
    foreach ($entry in (Get-Section $Desired 'registry')) { if (-not (Test-RegistryValue $entry)) { Set-RegistryValue $entry } }
    foreach ($entry in (Get-Section $Desired 'xml')) { Set-XmlFile $entry }
    foreach ($section in (Get-Section $Desired 'defender')) { Set-Exclusions $section }
    foreach ($entry in (Get-Section $Desired 'firewall')) { if (-not (Test-FirewallRule $entry)) { Set-FirewallRule $entry } }
    foreach ($rule in (Get-SurplusRules $Desired)) { Remove-NetFirewallRule -Name $rule.Name }
    foreach ($entry in (Get-Section $Desired 'tasks')) { if (-not (Test-Task $entry)) { Set-Task $entry } }
    foreach ($entry in (Get-Section $Desired 'groups')) { Set-Members $entry }
    foreach ($entry in (Get-Section $Desired 'rights')) { if (@(Get-MissingHolders $entry).Count -gt 0) { Set-Right $entry } }
    foreach ($entry in (Get-Section $Desired 'passwords')) { if (-not (Test-Password $entry)) { Set-Password $entry } }
    foreach ($entry in (Get-Section $Desired 'logins')) { if (-not (Test-Login $entry)) { Set-Login $entry } }
    foreach ($entry in (Get-Section $Desired 'services')) {
        if (-not (Test-ServiceEntry $entry)) { Set-ServiceEntry $entry }
        Restart-Affected $entry $Before $AfterParts
    }
}

# What secrets stand where, as fingerprints: of what is there, not of what should be.
function Get-SecretFingerprints($Desired) {
    $found = New-Object Collections.Generic.List[string]
    foreach ($entry in (Get-Section $Desired 'registry')) {
        $secret = Get-Optional $entry 'secret'
        if ($null -eq $secret) { continue }
        $there = Get-RegistryData $entry.path $entry.name
        if ($null -eq $there) { continue }
        $data = [string] $there.Data
        $prefix = [string] (Get-Optional $entry 'prefix')
        if ($data.StartsWith($prefix, [StringComparison]::Ordinal)) { $data = $data.Substring($prefix.Length) }
        $found.Add("registry/$($entry.path)\$($entry.name)=$(Get-Fingerprint $secret.name $data)")
    }
    return $found
}

# --- The fence: check and write stand under the mutex, since a late first delivery must not undo what a newer one did ---------------

function Get-StateNumber([string] $Name) {
    $there = Get-RegistryData $StateKey $Name
    if ($null -eq $there) { return 0 }
    return [int] $there.Data
}

function Confirm-Generation([int] $Generation, [int] $Part) {
    $seen = Get-StateNumber 'Generation'
    if ($Generation -lt $seen) { Stop-Engine 'GenerationOutdated' "the machine has generation $seen, the document is $Generation" }
    if ($Mode -ne 'set') { return }
    if ($Part -gt (Get-AppliedPart $Generation) + 1) { Stop-Engine 'PartMissing' "part $Part of generation $Generation came before the one that it follows" }
    if ($Generation -gt $seen) { Set-RegistryData $StateKey 'Generation' 'DWord' $Generation }
}

function Get-AppliedPart([int] $Generation) {
    if ((Get-StateNumber 'AppliedGeneration') -ne $Generation) { return 0 }
    return Get-StateNumber 'AppliedPart'
}

function Save-Applied([int] $Generation, [int] $Part) {
    if ($Part -le (Get-AppliedPart $Generation)) { return }
    Set-RegistryData $StateKey 'AppliedPart' 'DWord' $Part
    Set-RegistryData $StateKey 'AppliedGeneration' 'DWord' $Generation
}

# Run Command keeps the last 4 kB, so what is told is dealt out on pages; everything is ASCII, whatever the console's code page is.
function Write-Result([hashtable] $Result) {
    $pages = New-Object Collections.Generic.List[hashtable]
    $pages.Add(@{ differences = @(); changed = @(); secrets = @() })
    $length = 0
    foreach ($name in @('differences', 'changed', 'secrets')) {
        foreach ($item in @($Result[$name])) {
            $cost = (ConvertTo-Ascii (ConvertTo-Json -InputObject $item -Compress)).Length + 1
            if ($length + $cost -gt $PageLength -and $length -gt 0) { $pages.Add(@{ differences = @(); changed = @(); secrets = @() }); $length = 0 }
            $pages[$pages.Count - 1][$name] += $item
            $length += $cost
        }
    }
    $told = @{ inDesiredState = $Result.inDesiredState; generation = $Result.generation; page = $Page; pages = $pages.Count }
    if ($Page -le $pages.Count) { $told += $pages[$Page - 1] } else { $told += @{ differences = @(); changed = @(); secrets = @() } }
    if ($Result.ContainsKey('error')) { $told.error = $Result.error }
    [Console]::Out.WriteLine((ConvertTo-Ascii (ConvertTo-Json -InputObject $told -Compress -Depth 4)))
}

function ConvertTo-Ascii([string] $Json) { return [Regex]::Replace($Json, '[^\x20-\x7e]', { param($match) '\u{0:x4}' -f [int] [char] $match.Value }) }

$generation = 0
$mutex = New-Object Threading.Mutex($false, $MutexName)
$entered = $false
try {
    try { $entered = $mutex.WaitOne([TimeSpan]::FromMinutes(15)) } catch [Threading.AbandonedMutexException] { $entered = $true }
    if (-not $entered) { Stop-Engine 'EngineBusy' 'another run of the engine did not end' }

    $desired = Read-Document $Document
    $generation = [int] $desired.generation
    # A document beside the machine's own has a fence of its own.
    $beside = Get-Optional $desired 'beside'
    if ($null -ne $beside) { $StateKey = "$StateKey\$beside" }
    $slice = Get-Optional $desired 'part'
    $part = 1
    $last = $true
    $afterParts = $false
    if ($null -ne $slice) {
        $part = [int] $slice.number
        $last = $part -eq [int] $slice.of
        $afterParts = $last -and (Get-StateNumber 'RestartDue') -ne 0
    }
    Confirm-Generation $generation $part

    if ($Mode -eq 'set') { Wait-SetUp $desired }
    $before = @(Get-Differences $desired)
    $changed = @()
    $after = $before
    if ($Mode -eq 'set') {
        if ($before.Count -gt 0 -or $afterParts) {
            # Written before anything is changed: whatever happens then, the last part restarts what reads it.
            if (-not $last) { Set-RegistryData $StateKey 'RestartDue' 'DWord' 1 }
            # Nothing but the result may reach the output.
            [void] (Set-Differences $desired $before $afterParts)
            $after = @(Get-Differences $desired)
            $changed = @($before | Where-Object { $after -notcontains $_ })
        }
        if ($after.Count -eq 0) { Save-Applied $generation $part }
        if ($after.Count -eq 0 -and $afterParts) { Set-RegistryData $StateKey 'RestartDue' 'DWord' 0 }
    }
    Write-Result @{ inDesiredState = ($after.Count -eq 0); generation = $generation; differences = $after; changed = $changed; secrets = @(Get-SecretFingerprints $desired) }
    exit 0
}
catch {
    # Of failures that are not our own only the type and place are told, since their messages may quote values.
    $code = 'GuestFailed'
    $message = "$($_.Exception.GetType().Name) at line $($_.InvocationInfo.ScriptLineNumber)"
    if ($_.Exception -is [Management.Automation.RuntimeException] -and $_.Exception.Message -cmatch '^([A-Z][A-Za-z]+): (.+)$' -and $ExitCodes.ContainsKey($Matches[1])) {
        $code = $Matches[1]
        $message = $Matches[2]
    }
    Write-Result @{ inDesiredState = $false; generation = $generation; differences = @(); changed = @(); secrets = @(); error = @{ code = $code; message = $message } }
    exit $ExitCodes[$code]
}
finally {
    if ($entered) { $mutex.ReleaseMutex() }
    $mutex.Dispose()
}
