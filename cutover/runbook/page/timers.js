(function(){"use strict";
var m=document.querySelector("main"),t0=Date.now(),p0=performance.now();
var T=Array.prototype.slice.call(document.querySelectorAll(".timer"));
function f(ms){var neg=ms<0,s=Math.floor(Math.abs(ms)/1000),h=Math.floor(s/3600),q=function(x){return(x<10?"0":"")+x};
return(neg?"−":"")+(h?h+":"+q(Math.floor(s/60)%60):Math.floor(s/60))+":"+q(s%60)}
function tick(){var now=t0+performance.now()-p0;T.forEach(function(e){e.textContent=f(Date.parse(e.dataset.down)-now)})}
tick();setInterval(tick,1000)})();
